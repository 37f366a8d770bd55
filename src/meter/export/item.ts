/**
 * What an export sends: events as they are, or their sums by the hour. An item’s key is the same whenever the item is
 * sent again, so that a receiver can tell a repeat.
 */
import { createHash } from 'node:crypto'
import { limits } from '../../core/limits.ts'
import type { LedgerEvent, Position } from './source.ts'

export interface Item {
  /** At most 64 characters of visible ASCII; unique among everything that an export sends. */
  readonly key: string
}

export interface EventItem extends Item {
  readonly event: LedgerEvent
}

/** What hourly sums may be grouped by. */
export type Group = 'tenant' | 'subject' | 'target' | 'tool' | 'meter' | 'outcome'

/** The sum over the events that began within one hour and are alike in the groups asked for. */
export interface HourSum {
  /** Beginning of the hour, milliseconds since the Unix epoch. */
  readonly hour: number
  /** By name, in the order of the groups. */
  readonly of: ReadonlyMap<Group, string>
  readonly events: number
  /** Billable invocations. */
  readonly units: number
  readonly ms: number
  readonly waitMs: number
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface SumItem extends Item {
  readonly sum: HourSum
  /** Which sending this is: grows, and tells sums of one hour apart when some of its events came late. */
  readonly sequence: number
}

/** Where a window of events begins, which names everything made from it. */
interface WindowStart {
  readonly from: Position | undefined
  readonly sequence: number
}

/** Takes the events of one window and makes items of them. */
export interface Collector<I extends Item> {
  add(event: LedgerEvent): void
  /** Held in memory: never more than the shape’s `most`. */
  readonly size: number
  items(): I[]
}

/** How the stream of events is cut and what is made of a piece. */
export interface Shape<I extends Item> {
  /** Items go out when the period is over in which their events began; left out for at once. Milliseconds. */
  readonly periodMs?: number
  /** The most that a collector holds. */
  readonly most: number
  collect(start: WindowStart): Collector<I>
}

export const hourMs = 3_600_000

/** 32 hexadecimal characters that stand for these words and no others. */
export const keyOf = (words: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 32)

const collectEvents = (): Collector<EventItem> => {
  const items: EventItem[] = []
  return {
    add: (event) => void items.push({ key: event.id, event }),
    get size() {
      return items.length
    },
    items: () => items,
  }
}

/** Events one by one, as soon as they are there. */
export const eachEvent: Shape<EventItem> = { most: limits.exportBatchItems, collect: collectEvents }

/** Events gathered by the period in which they began, in order of periods. */
export const eventsBy = (periodMs: number): Shape<EventItem> => ({
  periodMs,
  most: limits.exportFileItems,
  collect: () => {
    const collector = collectEvents()
    const periodOf = ({ event }: EventItem): number => Math.floor(event.at / periodMs)
    return {
      add: (event) => collector.add(event),
      get size() {
        return collector.size
      },
      items: () => collector.items().toSorted((one, other) => periodOf(one) - periodOf(other)),
    }
  },
})

type Sum = { -readonly [Name in keyof HourSum]: HourSum[Name] }

/** Sums by the hour, in order of hours; those that `keep` does not want are left out. */
export const sumsBy = (groups: readonly Group[], keep: (sum: HourSum) => boolean): Shape<SumItem> => ({
  periodMs: hourMs,
  most: limits.exportSums,
  collect: ({ from, sequence }) => {
    const sums = new Map<string, Sum>()
    return {
      add(event) {
        const hour = Math.floor(event.at / hourMs) * hourMs
        const names = groups.map((group) => event[group])
        const place = JSON.stringify([hour, ...names])
        const sum = sums.get(place) ?? emptySum(hour, new Map(groups.map((group) => [group, event[group]])))
        sums.set(place, sum)
        sum.events += 1
        sum.units += event.units
        sum.ms += event.ms
        sum.waitMs += event.waitMs
        sum.bytesIn += event.bytesIn
        sum.bytesOut += event.bytesOut
      },
      get size() {
        return sums.size
      },
      items: () =>
        [...sums]
          .filter(([, sum]) => keep(sum))
          .toSorted(([one, { hour }], [other, { hour: otherHour }]) => hour - otherHour || (one < other ? -1 : 1))
          .map(([place, sum]) => ({
            key: keyOf([from?.segment ?? '', from?.offset ?? 0, place]),
            sum,
            sequence,
          })),
    }
  },
})

const emptySum = (hour: number, of: ReadonlyMap<Group, string>): Sum => ({
  hour,
  of,
  events: 0,
  units: 0,
  ms: 0,
  waitMs: 0,
  bytesIn: 0,
  bytesOut: 0,
})
