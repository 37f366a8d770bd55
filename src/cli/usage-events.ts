/** `toolgate usage events`: the ledger's own events of a time, one JSON object a line, as far as they are kept. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { loadSettings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { eventsBetween } from '../meter/events.ts'
import { readQuery } from '../meter/query.ts'
import { spoolDir } from '../meter/spool.ts'

export interface UsageEventsOptions {
  readonly config?: string
  readonly from?: string
  readonly to?: string
  readonly tenant?: string
  readonly target?: string
  readonly tool?: string
}

export async function usageEvents({ config, from, to, tenant, target, tool }: UsageEventsOptions): Promise<void> {
  const { dataDir, metering } = loadSettings(config, 'left')
  const asked = readQuery({ from, to, by: [] }, systemClock.now())
  const options = { dir: spoolDir(dataDir), clock: systemClock, billed: new Set(metering.billed.outcomes) }
  const lines = function* (): Generator<string> {
    for (const event of eventsBetween(options, asked.from, asked.to)) {
      const isAsked =
        (tenant ?? event.tenant) === event.tenant &&
        (target ?? event.target) === event.target &&
        (tool ?? event.tool) === event.tool
      if (isAsked) yield `${JSON.stringify({ ...event, at: new Date(event.at).toISOString() })}\n`
    }
  }
  // a reader that is slow, such as a pager, holds the reading up and not the memory
  await pipeline(Readable.from(lines()), process.stdout, { end: false }).catch((error: unknown) => {
    // and one that has seen enough, such as `head`, ends it
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  })
}
