/** `toolgate usage`: invocations and cost. */
import type { UsageAnswer } from '../meter/usage.ts'
import { type UsageFilter, usageGroups } from '../meter/query.ts'
import { tell, withUsage } from './open-usage.ts'
import { csv, table } from './print.ts'

export interface UsageOptions extends UsageFilter {
  readonly config?: string
  readonly from?: string
  readonly to?: string
  readonly by: string
  readonly percentiles?: boolean
  readonly format: 'table' | 'json' | 'csv'
}

export async function usage({ config, by, format, ...asked }: UsageOptions): Promise<void> {
  const groups = by === '' ? [] : by.split(',')
  const answer = await withUsage(config, (usage) => usage.answer({ ...asked, by: groups }))
  process.stdout.write(print(answer, groups, asked.percentiles === true, format))
  tell(answer.notes)
}

const percentileNames = ['p50', 'p90', 'p99'] as const

function print(
  answer: UsageAnswer,
  groups: readonly string[],
  percentiles: boolean,
  format: UsageOptions['format'],
): string {
  if (format === 'json') return `${JSON.stringify(answer, null, 2)}\n`
  const shown = groups.flatMap((name) => usageGroups.filter((group) => group === name))
  const withCalls = groups.includes('outcome')
  const figures = [
    ...['invocations', 'cost'],
    ...(withCalls ? ['calls'] : []),
    ...(percentiles ? percentileNames.map((name) => `${name}_ms`) : []),
  ]
  const rows = answer.rows.map((row) => {
    const names = shown.map((group) => row[group] ?? '')
    const { invocations, cost, calls, durationMs } = row
    return [
      ...names,
      ...[String(invocations), cost],
      ...(withCalls ? [String(calls ?? 0)] : []),
      ...(percentiles ? percentileNames.map((name) => String(durationMs?.[name] ?? '')) : []),
    ]
  })
  const head = [...groups, ...figures]
  if (format === 'csv') return csv(head, rows)
  const period = `${answer.from} to ${answer.to}, in ${answer.currency}\n\n`
  const total = ['total', ...groups.slice(1).map(() => ''), String(answer.total.invocations), answer.total.cost]
  const heads = head.map((title) => title.toUpperCase().replace('_', ' '))
  const visibly = rows.map((row) => row.map(visible))
  return period + table(heads, groups.length === 0 ? visibly : [...visibly, total])
}

/** Names come from strangers: what a terminal would act on, or show out of order, is shown as its code. */
const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
