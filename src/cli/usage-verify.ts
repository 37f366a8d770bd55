/** `toolgate usage verify`: proves that the ledger is what was written. */
import { join } from 'node:path'
import { loadSettings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { rollUp } from '../meter/rollup.ts'
import { spoolDir } from '../meter/spool.ts'
import { verifyLedger, type VerifyReport } from '../meter/verify.ts'
import { privateDir } from '../store/files.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { count } from './report/look.ts'

export interface UsageVerifyOptions {
  readonly config?: string
  /** What an earlier verification has printed. */
  readonly head?: string
  readonly json?: boolean
}

const headSyntax = /^[0-9a-f]{64}$/

/** Exit status 1 when anything was altered or removed. */
export async function usageVerify({ config, head, json }: UsageVerifyOptions): Promise<void> {
  if (head !== undefined && !headSyntax.test(head))
    throw new GatewayError('invalid_params', {
      words: '"--head" is the 64 hexadecimal digits that verify has printed.',
    })
  const { dataDir, metering } = loadSettings(config, 'left')
  const store = openSqliteStore(join(privateDir(dataDir), 'toolgate.db'))
  try {
    const dir = spoolDir(dataDir)
    const billed = new Set(metering.billed.outcomes)
    // what has just been written is known before it is looked at; to take segments away is the gateway’s business
    await rollUp({ dir, store, clock: systemClock, billed, retentionDays: Number.POSITIVE_INFINITY })
    const report = await verifyLedger({ dir, store, clock: systemClock, head })
    process.stdout.write(json === true ? `${JSON.stringify(report, null, 2)}\n` : print(report))
    if (!report.ok) process.exitCode = 1
  } finally {
    await store.close()
  }
}

function print({ ok, segments, events, head, faults }: VerifyReport): string {
  const found = faults.map(({ segment, line, offset, kind, words }) => {
    const place = [segment, ...(line === undefined ? [] : [`line ${line}`]), `byte ${offset}`].join(', ')
    return `${kind}  ${segment === '' ? '' : `${place}: `}${words}\n`
  })
  const verdict = ok ? 'Nothing was altered or removed.' : 'The ledger is not what was written.'
  return [...found, `${verdict} ${count(events, 'event')} in ${count(segments, 'segment')}.\nhead  ${head}\n`].join('')
}
