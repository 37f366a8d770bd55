/**
 * Usage as CloudEvents 1.0 over HTTP, structured content mode (CloudEvents HTTP protocol binding §3.2, §3.3; JSON format
 * §4): what OpenMeter’s and others’ ingestion takes. A receiver tells a repeat by `source` and `id` (CloudEvents §3.1.1).
 */
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Destination } from './destination.ts'
import { type HttpPlace, type HttpRoom, judge, postTo } from './http.ts'
import { eachEvent, type EventItem, type Item, type Shape, type SumItem, sumsBy } from './item.ts'
import type { LedgerEvent } from './source.ts'

export interface CloudEventsOptions extends HttpPlace {
  readonly source: string
  readonly type: string
  /** Whose the usage is: the tenant’s, or each caller’s (`tenant/subject`). */
  readonly subject: 'tenant' | 'principal'
  /** Many events in a request, or one. */
  readonly batch: boolean
}

type Described = {
  readonly tenant: string
  readonly subject: string
  readonly at: number
  readonly data: { [name: string]: Json }
}

const describeEvent = ({ event }: EventItem): Described => ({
  tenant: event.tenant,
  subject: event.subject,
  at: event.at,
  data: dataOf(event),
})

/** Every field of an event, by its own name. */
export const dataOf = (event: LedgerEvent): { [name: string]: Json } => {
  const { tenant, subject, client, target, tool, meter, outcome, units, ms, waitMs, bytesIn, bytesOut } = event
  const { status, snapshot, trace } = event
  return {
    tenant,
    subject,
    client,
    target,
    tool,
    meter,
    outcome,
    units,
    ...(status === undefined ? {} : { status }),
    ms,
    waitMs,
    bytesIn,
    bytesOut,
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(trace === undefined ? {} : { trace }),
  }
}

const describeSum = ({ sum }: SumItem): Described => {
  const { hour, of, events, units, ms, waitMs, bytesIn, bytesOut } = sum
  return {
    tenant: of.get('tenant') ?? '',
    subject: of.get('subject') ?? '',
    at: hour,
    data: { ...Object.fromEntries(of), events, units, ms, waitMs, bytesIn, bytesOut },
  }
}

const destination = <I extends Item>(
  options: CloudEventsOptions,
  room: HttpRoom,
  shape: Shape<I>,
  what: string,
  describe: (item: I) => Described,
): Destination<I> => {
  const { url, source, type, subject, batch } = options
  const post = postTo(options, room)
  const textOf = (item: I): string => {
    const { tenant, subject: caller, at, data } = describe(item)
    return JSON.stringify({
      specversion: '1.0',
      id: item.key,
      source,
      type,
      subject: subject === 'tenant' ? tenant : `${tenant}/${caller}`,
      time: new Date(at).toISOString(),
      datacontenttype: 'application/json',
      data,
    })
  }
  return {
    place: JSON.stringify(['cloudevents', what, url, source, type, subject]),
    shape,
    itemsMax: batch ? limits.exportBatchItems : 1,
    sizeOf: (item) => Buffer.byteLength(textOf(item)) + 1,
    async send({ items, key, signal }) {
      const texts = items.map(textOf).join(',')
      const posted = await post({
        contentType: batch ? 'application/cloudevents-batch+json' : 'application/cloudevents+json',
        body: batch ? `[${texts}]` : texts,
        headers: new Map([['idempotency-key', key]]),
        signal,
      })
      return posted.response === undefined ? posted.later : judge(posted.response, posted.said, room.clock.now())
    },
  }
}

/** Each event by itself; its id is the CloudEvent’s. */
export const cloudEvents = (options: CloudEventsOptions, room: HttpRoom): Destination<EventItem> =>
  destination(options, room, eachEvent, 'events', describeEvent)

/** Sums of an hour, by tenant, caller, target, tool, meter and outcome. */
export const cloudEventHours = (options: CloudEventsOptions, room: HttpRoom): Destination<SumItem> =>
  destination(
    options,
    room,
    sumsBy(['tenant', 'subject', 'target', 'tool', 'meter', 'outcome'], () => true),
    'hours',
    describeSum,
  )
