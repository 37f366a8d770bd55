/** Everything that counts: the ledger, its roll-up, the quotas on it and the exports of it. */
import type { Settings } from '../config/load.ts'
import type { Clock } from '../core/clock.ts'
import { toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { OutcomeKind } from '../core/model.ts'
import type { Egress } from '../egress/fetch.ts'
import { createMeter, type Meter } from '../meter/meter.ts'
import { spoolDir } from '../meter/spool.ts'
import { startUsageThread, type UsageThread } from '../meter/usage-thread.ts'
import type { Records } from '../store/records.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Exports } from './exports.ts'
import { costNow, type GatewayQuotas, openQuotas } from './quotas.ts'

export interface MeteringRoom {
  /** Those of the start: what is recorded, kept and exported does not change while the process runs. */
  readonly settings: Settings
  readonly records: Records
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
  /** As configured now. */
  egress(this: void): Egress
}

export interface Metering {
  readonly meter: Meter
  readonly usage: UsageThread
  readonly quotas: GatewayQuotas
  readonly billed: ReadonlySet<OutcomeKind>
  /** What one call of a tool costs; nothing where that depends on volume. */
  costOf(this: void, target: string, tool: string): string | undefined
  /** Quotas follow the configuration in force. */
  configure(settings: Settings): void
  /** After the last call. */
  close(): Promise<void>
}

export async function openMetering({
  settings,
  records,
  metrics,
  clock,
  log,
  egress,
}: MeteringRoom): Promise<Metering> {
  const { dataDir, metering } = settings
  const { durability, retentionDays, archive, exports } = metering
  const billed = new Set(metering.billed.outcomes)
  const meter = createMeter({
    dir: spoolDir(dataDir),
    durability,
    billed,
    clock,
    onFault: (fault) => log.error({ fault: fault.kind, ends: fault.ends, error: fault.error }, 'the usage spool'),
  })
  const usage = startUsageThread({
    dataDir,
    prices: metering,
    retentionDays,
    billed,
    isHeld: exports.length > 0,
    ...(archive === undefined ? {} : { archiveDir: archive }),
    clock,
    onFault: (error) => log.error({ error }, 'usage could not be rolled up'),
    onRollUp: ({ torn }) => {
      if (torn > 0) log.warn({ torn }, 'torn lines at the end of usage segments were left out')
    },
  })
  const quotas = openQuotas({
    records,
    clock,
    log,
    currency: metering.currency,
    recount: (question) => usage.recount(question),
    egress,
    metrics,
  })
  metrics.follow(() => quotas.ratios())
  const exporting = exports.length === 0 ? undefined : await startExporting()
  const stopHolding = exporting === undefined ? (): void => undefined : holdFor(exporting, usage, clock, log)

  /** What few gateways do is loaded where it is done. */
  async function startExporting(): Promise<Exports> {
    const { startExports } = await import('./exports.ts')
    return startExports({
      exports,
      secrets: settings.secretsFound,
      file: settings.file,
      dataDir,
      allow: settings.egress.allow,
      records,
      read: (from, max) => usage.events(from, max),
      clock,
      log,
      onProgress: (progress) => metrics.exported(progress),
    })
  }

  return {
    meter,
    usage,
    quotas,
    billed,
    costOf: costNow(metering, clock),
    configure: (now) =>
      quotas.configure({ quotas: now.metering.quotas, prices: metering, secretsFound: now.secretsFound }),
    async close() {
      stopHolding()
      await exporting?.close()
      await quotas.close()
      await meter.close()
      await usage.close()
    },
  }
}

/** Tells the usage thread now and then which segments the exports have passed. Where that is not known, it keeps all. */
function holdFor(exporting: Exports, usage: UsageThread, clock: Clock, log: Log): () => void {
  return clock.every(limits.rollupMs, () => {
    exporting.position().then(
      (position) => usage.hold(position),
      (error: unknown) => log.warn({ error: toGatewayError(error) }, 'how far usage was exported is not known'),
    )
  })
}
