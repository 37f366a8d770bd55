/**
 * Events as files, NDJSON or Parquet, one for each hour or day, written aside and renamed when whole. A file is named
 * after its period and its first event, so that a repeat overwrites what it repeats, and names sort by time.
 */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { dataOf } from './cloudevents.ts'
import type { Destination } from './destination.ts'
import { type EventItem, eventsBy, hourMs } from './item.ts'
import type { LedgerEvent } from './source.ts'

export interface FileOptions {
  /** Absolute. */
  readonly folder: string
  readonly format: 'ndjson' | 'parquet'
  readonly every: 'hour' | 'day'
  /** Puts a file into its place, whole and durable or not at all. Rejects with what the system says. */
  readonly write: (path: string, bytes: Uint8Array) => Promise<void>
  /** Lets other work come in between. */
  readonly pause: () => Promise<void>
}

const dayMs = 24 * hourMs

const ndjson = (events: readonly LedgerEvent[]): Uint8Array =>
  Buffer.from(
    events
      .map((event) => `${JSON.stringify({ id: event.id, time: new Date(event.at).toISOString(), ...dataOf(event) })}\n`)
      .join(''),
  )

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : 'unknown')

/** An id is a UUID; whatever else a ledger may hold must not lead out of the folder. */
const nameOf = ({ key }: EventItem): string => key.replace(/[^0-9A-Za-z-]/g, '_').slice(0, 64)

export const files = ({ folder, format, every, write, pause }: FileOptions): Destination<EventItem> => {
  const periodMs = every === 'hour' ? hourMs : dayMs
  const periodOf = ({ event }: EventItem): number => Math.floor(event.at / periodMs)
  const labelOf = (item: EventItem): string =>
    new Date(periodOf(item) * periodMs).toISOString().slice(0, every === 'hour' ? 13 : 10)
  return {
    place: JSON.stringify(['file', folder, format, every]),
    shape: eventsBy(periodMs),
    itemsMax: limits.exportFileItems,
    partOf: periodOf,
    async send({ items }) {
      const [first] = items
      if (first === undefined) return { kind: 'taken' }
      const events = items.map(({ event }) => event)
      try {
        // the Parquet writer is loaded by those who want it
        const bytes = format === 'ndjson' ? ndjson(events) : await (await import('./parquet.ts')).parquet(events, pause)
        await write(`${folder}/usage-${labelOf(first)}-${nameOf(first)}.${format}`, bytes)
        return { kind: 'taken' }
      } catch (error) {
        if (error instanceof GatewayError) throw error
        return { kind: 'later', reason: `the file cannot be written (${codeOf(error)})` }
      }
    },
  }
}
