/** Figures for Prometheus. Labels are target and outcome only: names of tools would be too many to keep. */
import { collectDefaultMetrics, Counter, type Counter as CounterOf, Gauge, Histogram, Registry } from 'prom-client'
import type { OutcomeKind } from '../core/model.ts'

export interface Metrics {
  /** One call: which target, how it ended, how long it took in milliseconds. */
  call(target: string, outcome: OutcomeKind, ms: number): void
  /** How an export gets on; counts are since the last time. */
  exported(progress: ExportFigures): void
  quotaWarned(this: void, quota: string): void
  quotaRefused(this: void, quota: string): void
  /** Where the used parts of quotas are read when they are asked for. */
  follow(ratios: () => Iterable<readonly [quota: string, ratio: number]>): void
  /** The Prometheus text exposition format, version 0.0.4. */
  text(): Promise<string>
  readonly contentType: string
}

interface ExportFigures {
  readonly export: string
  readonly sent: number
  readonly refused: number
  readonly unassigned: number
  readonly lagMs: number
}

export interface Gauges {
  readonly callsInFlight: () => number
  readonly streamsOpen: () => number
  readonly snapshotNumber: () => number
  readonly targets: () => { readonly ready: number; readonly failed: number }
}

export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const calls = new Counter({
    name: 'toolgate_calls_total',
    help: 'Tool calls by target and outcome.',
    labelNames: ['target', 'outcome'],
    registers,
  })
  const seconds = new Histogram({
    name: 'toolgate_call_duration_seconds',
    help: 'Time from taking a call to recording its end.',
    labelNames: ['target'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('toolgate_calls_in_flight', 'Tool calls under way.', gauges.callsInFlight)
  gauge('toolgate_streams_open', 'Streams that wait for news.', gauges.streamsOpen)
  gauge('toolgate_snapshot_number', 'Number of the snapshot in force.', gauges.snapshotNumber)
  gauge('toolgate_targets_ready', 'Targets that can be called.', () => gauges.targets().ready)
  gauge('toolgate_targets_failed', 'Targets whose description or server was refused.', () => gauges.targets().failed)

  const quota = ['quota']
  const warnings = new Counter({
    name: 'toolgate_quota_warnings_total',
    help: 'Warnings that a quota is used up to a fraction.',
    labelNames: quota,
    registers,
  })
  const refusals = new Counter({
    name: 'toolgate_quota_refused_total',
    help: 'Calls refused because a quota was used up.',
    labelNames: quota,
    registers,
  })
  const exports = exportMetrics(registers)
  let ratios: () => Iterable<readonly [quota: string, ratio: number]> = () => []
  const used = new Gauge({
    name: 'toolgate_quota_used_ratio',
    help: 'The used part of the fullest counter of a quota.',
    labelNames: quota,
    registers,
    collect() {
      this.reset()
      for (const [name, ratio] of ratios()) used.labels(name).set(ratio)
    },
  })

  // Looking a label up costs more than counting, so each pair is looked up once.
  const counters = new Map<string, CounterOf.Internal>()
  const timers = new Map<string, Histogram.Internal<'target'>>()
  return {
    call(target, outcome, ms) {
      const key = `${outcome} ${target}`
      let counter = counters.get(key)
      if (counter === undefined) counters.set(key, (counter = calls.labels(target, outcome)))
      counter.inc()
      let timer = timers.get(target)
      if (timer === undefined) timers.set(target, (timer = seconds.labels(target)))
      timer.observe(ms / 1_000)
    },
    exported: exports,
    quotaWarned: (name) => warnings.labels(name).inc(),
    quotaRefused: (name) => refusals.labels(name).inc(),
    follow(read) {
      ratios = read
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

function exportMetrics(registers: Registry[]): (progress: ExportFigures) => void {
  const labelNames = ['export', 'result']
  const items = new Counter({
    name: 'toolgate_export_items_total',
    help: 'Events or sums that an export has sent, put aside since they were refused, or assigned to nobody.',
    labelNames,
    registers,
  })
  const lag = new Gauge({
    name: 'toolgate_export_lag_seconds',
    help: 'How long the oldest that should have been exported has been waiting.',
    labelNames: ['export'],
    registers,
  })
  return ({ export: name, sent, refused, unassigned, lagMs }) => {
    items.labels(name, 'sent').inc(sent)
    items.labels(name, 'refused').inc(refused)
    items.labels(name, 'unassigned').inc(unassigned)
    lag.labels(name).set(lagMs / 1_000)
  }
}
