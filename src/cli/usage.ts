/** `toolgate usage`: invocations and cost, straight from the data folder, whether the gateway runs or not. */
import { join } from 'node:path'
import { loadSettings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import { spoolDir } from '../meter/spool.ts'
import { createUsage, type UsageAnswer } from '../meter/usage.ts'
import { privateDir } from '../store/files.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { csv, table } from './print.ts'

export interface UsageOptions {
  readonly config?: string
  readonly from?: string
  readonly to?: string
  readonly by: string
  readonly format: 'table' | 'json' | 'csv'
}

export async function usage(options: UsageOptions): Promise<void> {
  const { dataDir, metering } = loadSettings(options.config, 'left')
  const store = openSqliteStore(join(privateDir(dataDir), 'toolgate.db'))
  try {
    const answer = await createUsage({
      dir: spoolDir(dataDir),
      store,
      clock: systemClock,
      retentionDays: limits.usageRetentionDays,
      currency: metering.currency,
      pricePer1000: metering.pricePer1000.call,
    }).answer({ from: options.from, to: options.to, by: options.by === '' ? [] : options.by.split(',') })
    process.stdout.write(print(answer, options))
  } finally {
    await store.close()
  }
}

function print(answer: UsageAnswer, { by, format }: UsageOptions): string {
  if (format === 'json') return `${JSON.stringify(answer, null, 2)}\n`
  const groups = by === '' ? [] : by.split(',')
  const cells = (row: object): string[] =>
    groups.map((group) => String(Object.entries(row).find(([key]) => key === group)?.[1] ?? ''))
  const rows = answer.rows.map((row) => [...cells(row), String(row.invocations), row.cost])
  const head = [...groups, 'invocations', 'cost']
  if (format === 'csv') return csv(head, rows)
  const period = `${answer.from} to ${answer.to}, in ${answer.currency}\n\n`
  const total = ['total', ...groups.slice(1).map(() => ''), String(answer.total.invocations), answer.total.cost]
  const heads = head.map((title) => title.toUpperCase())
  return groups.length === 0 ? period + table(heads, rows) : period + table(heads, [...rows, total])
}
