/**
 * Usage as OpenTelemetry metrics: OTLP/HTTP in JSON (OTLP 1.x, `POST /v1/metrics`). The sums are of delta temporality: an
 * hour’s figures are final when they are sent, so nothing has to be added up here, a restart is no reset of a counter,
 * and several gateways do not overwrite each other’s totals.
 */
import { limits } from '../../core/limits.ts'
import type { InboundResponse, Json } from '../../core/model.ts'
import type { Destination } from './destination.ts'
import { type HttpPlace, type HttpRoom, judge, postTo } from './http.ts'
import { hourMs, type SumItem, sumsBy } from './item.ts'

const deltaTemporality = 1

/** 64-bit integers are strings in OTLP’s JSON. */
const nanoseconds = (ms: number): string => `${ms}000000`

/**
 * Within the hour’s last minute, a millisecond for each sending: what came late for an hour is a point of its own and
 * not, to a store that keeps one value a moment, a correction of the first; a repeat is the same point.
 */
const timeOf = ({ sum, sequence }: SumItem): number => sum.hour + hourMs - 1 - (sequence % 60_000)

const pointOf = (item: SumItem, value: number): Json => ({
  attributes: [...item.sum.of].map(([group, name]) => ({ key: `toolgate.${group}`, value: { stringValue: name } })),
  startTimeUnixNano: nanoseconds(item.sum.hour),
  timeUnixNano: nanoseconds(timeOf(item)),
  asInt: String(value),
})

const metricOf = (name: string, description: string, points: Json[]): Json => ({
  name,
  description,
  unit: '{invocation}',
  sum: { aggregationTemporality: deltaTemporality, isMonotonic: true, dataPoints: points },
})

const bodyOf = (items: readonly SumItem[]): string =>
  JSON.stringify({
    resourceMetrics: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'toolgate' } }] },
        scopeMetrics: [
          {
            scope: { name: 'toolgate.metering' },
            metrics: [
              metricOf(
                'toolgate.invocations',
                'Metered invocations.',
                items.map((item) => pointOf(item, item.sum.events)),
              ),
              metricOf(
                'toolgate.units',
                'Billable invocations.',
                items.map((item) => pointOf(item, item.sum.units)),
              ),
            ],
          },
        ],
      },
    ],
  })

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** What a receiver took only in part must not be sent again (OTLP “Partial Success”). */
const partly = ({ body }: InboundResponse): { readonly items: number; readonly reason: string } | undefined => {
  let answer: unknown
  try {
    answer = JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
  const partial = isRecord(answer) ? answer['partialSuccess'] : undefined
  if (!isRecord(partial)) return undefined
  const points = Number(partial['rejectedDataPoints'] ?? 0)
  return points > 0 ? { items: Math.ceil(points / 2), reason: `${points} data points were rejected` } : undefined
}

export const otlp = (place: HttpPlace, room: HttpRoom): Destination<SumItem> => {
  const post = postTo(place, room)
  return {
    place: JSON.stringify(['otlp', place.url]),
    shape: sumsBy(['tenant', 'target', 'tool', 'outcome', 'meter'], () => true),
    itemsMax: limits.exportBatchItems,
    sizeOf: (item) => 2 * (Buffer.byteLength(JSON.stringify(pointOf(item, item.sum.events))) + 1),
    async send({ items, key, signal }) {
      const posted = await post({
        contentType: 'application/json',
        body: bodyOf(items),
        headers: new Map([['idempotency-key', key]]),
        signal,
      })
      if (posted.response === undefined) return posted.later
      const verdict = judge(posted.response, posted.said, room.clock.now())
      const but = verdict.kind === 'taken' ? partly(posted.response) : undefined
      return but === undefined ? verdict : { kind: 'taken', but: { ...but, items: Math.min(but.items, items.length) } }
    },
  }
}
