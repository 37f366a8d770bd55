/** Starts an exporter for each export of the configuration, and tells the ledger what must be kept for them. */
import { randomUUID } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import type { ExportConfig } from '../config/export-schema.ts'
import { type Clock, sleep } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import type { Secret } from '../core/secret.ts'
import { createEgress } from '../egress/fetch.ts'
import { cloudEventHours, cloudEvents } from '../meter/export/cloudevents.ts'
import type { Destination } from '../meter/export/destination.ts'
import { createExporter, type Exporter, type ExportProgress } from '../meter/export/exporter.ts'
import { files } from '../meter/export/file.ts'
import type { HttpPlace, HttpRoom } from '../meter/export/http.ts'
import type { Item } from '../meter/export/item.ts'
import { otlp } from '../meter/export/otlp.ts'
import { type EventSource, isBefore, type Position } from '../meter/export/source.ts'
import { stripe } from '../meter/export/stripe.ts'
import { refusedFile, writeExport } from '../store/export-files.ts'
import type { Records } from '../store/records.ts'

export interface ExportsOptions {
  readonly exports: readonly ExportConfig[]
  /** By their paths in the file, see `exportReferences`. */
  readonly secrets: ReadonlyMap<string, Secret>
  /** The configuration’s file: folders are relative to its own. */
  readonly file: string
  readonly dataDir: string
  /** `egress.allow`. */
  readonly allow: readonly string[]
  /** Where events are read; it need not be asynchronous. */
  readonly read: (
    from: Position | undefined,
    max: number,
  ) => ReturnType<EventSource['read']> | Awaited<ReturnType<EventSource['read']>>
  readonly records: Records
  readonly clock: Clock
  readonly log: Log
  readonly onProgress: (progress: ExportProgress) => void
}

export interface Exports {
  /**
   * The place before which every export has sent everything; the ledger keeps what comes after. `undefined` when nothing
   * is exported. Rejects with `store_unavailable` when it is not known, and then all must be kept.
   */
  position(): Promise<Position | undefined>
  close(): Promise<void>
}

/** Comes before every place. */
const beginning: Position = { segment: '', offset: 0 }

export function startExports(options: ExportsOptions): Exports {
  const { exports, records, dataDir, allow, clock, log, onProgress, read } = options
  const egress = createEgress({ allow, clock })
  const source: EventSource = {
    async read(from, max) {
      // a long catching-up lets calls come in between
      await sleep(clock, 0)
      return read(from, max)
    },
  }
  const owner = randomUUID()
  const begin = <I extends Item>(name: string, destination: Destination<I>): Exporter => {
    const aside = refusedFile(dataDir, name)
    const exporter = createExporter({
      name,
      destination,
      source,
      records,
      aside,
      owner,
      clock,
      log,
      random: Math.random,
      onProgress,
    })
    exporter.start()
    return exporter
  }
  const exporters = exports.map((entry, index) =>
    startOne(entry, `metering.exports.${index}`, options, { egress, clock }, begin),
  )
  return {
    async position() {
      const positions = await Promise.all(exporters.map((exporter) => exporter.position()))
      const [first, ...others] = positions.map((position) => position ?? beginning)
      return others.reduce(
        (slowest, other) => (slowest !== undefined && isBefore(other, slowest) ? other : slowest),
        first,
      )
    },
    async close() {
      await Promise.all(exporters.map((exporter) => exporter.close()))
      await egress.close()
    },
  }
}

type Begin = <I extends Item>(name: string, destination: Destination<I>) => Exporter

function startOne(
  entry: ExportConfig,
  path: string,
  { secrets, file }: ExportsOptions,
  room: HttpRoom,
  begin: Begin,
): Exporter {
  const secret = (key: string): Secret => {
    const found = secrets.get(`${path}.${key}`)
    if (found === undefined) throw new TypeError(`the secret ${path}.${key} was not looked up`)
    return found
  }
  switch (entry.type) {
    case 'cloudevents': {
      const { what, source, subject, batch, eventType } = entry
      const place = placeOf(entry, entry.url, secret)
      return what === 'events'
        ? begin(
            entry.name,
            cloudEvents({ ...place, source, subject, batch, type: eventType ?? 'toolgate.invocation' }, room),
          )
        : begin(
            entry.name,
            cloudEventHours({ ...place, source, subject, batch, type: eventType ?? 'toolgate.hour' }, room),
          )
    }
    case 'stripe': {
      const { eventNames, server } = entry
      const customers = new Map(Object.entries(entry.customers))
      return begin(entry.name, stripe({ apiKey: secret('apiKey'), customers, eventNames, server }, room))
    }
    case 'otlp': {
      const url = new URL(entry.url)
      if (url.pathname === '/') url.pathname = '/v1/metrics'
      return begin(entry.name, otlp(placeOf(entry, url.href, secret), room))
    }
    case 'file': {
      const { format, every } = entry
      return begin(
        entry.name,
        files({
          folder: resolve(dirname(file), entry.folder),
          format,
          every,
          write: writeExport,
          pause: () => sleep(room.clock, 0),
        }),
      )
    }
  }
}

const placeOf = (
  { token, headers }: Extract<ExportConfig, { type: 'cloudevents' | 'otlp' }>,
  url: string,
  secret: (key: string) => Secret,
): HttpPlace => ({
  url,
  headers: new Map(
    Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : secret(`headers.${name}`),
    ]),
  ),
  ...(token === undefined ? {} : { token: secret('token') }),
})
