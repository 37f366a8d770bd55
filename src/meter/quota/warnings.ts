/**
 * Warnings that a quota is used up to a fraction: once for each counter, window and fraction, whatever process notices.
 * Messages to webhooks wait in the store until their receiver has them, so that neither a crash nor a receiver that is
 * down loses one.
 */
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { RecordRow, Records } from '../../store/records.ts'

/** A fraction of a quota that was reached. */
export interface QuotaWarning {
  /** Names the fraction of this counter in this window; the same however often it is told. */
  readonly id: string
  readonly quota: string
  readonly fraction: number
  /** Printable JSON members for whoever is told: the quota’s state. */
  readonly state: { readonly [name: string]: unknown }
  /** Milliseconds since the Unix epoch from which nobody needs to know. */
  readonly until: number
}

/** Sends one message; rejects when its receiver did not take it. `id` tells a repeat. */
export type SendWebhook = (body: string, id: string) => Promise<void>

export interface WarningsRoom {
  readonly records: Records
  readonly clock: Clock
  /** The webhook of a quota, as configured now. */
  hook(quota: string): SendWebhook | undefined
  onWarn(warning: QuotaWarning): void
  onFault(error: unknown): void
}

export interface Warnings {
  /** Tells of it, unless it was told. At most `limits.quotaWarnings` are on their way at once; more are let go. */
  reached(warning: QuotaWarning): void
  /** Goes on with what is due; called every `limits.quotaSweepMs`. */
  tick(): void
  /** Begins nothing more; messages that wait are the next process’s. Never rejects. */
  close(): Promise<void>
}

const outbox = 'quota/hook/'

/** CloudEvents 1.0 in its JSON format. */
const messageOf = ({ id, quota, fraction, state }: QuotaWarning, now: number): string =>
  JSON.stringify({
    specversion: '1.0',
    id,
    source: 'toolgate',
    type: 'toolgate.quota.reached',
    subject: quota,
    time: new Date(now).toISOString(),
    datacontenttype: 'application/json',
    data: { quota, fraction, ...state },
  })

interface Message {
  readonly quota: string
  readonly body: string
  readonly tries: number
  /** Milliseconds since the Unix epoch. */
  readonly due: number
}

const readMessage = (text: string): Message | undefined => {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  if (!('quota' in value) || !('body' in value) || !('tries' in value) || !('due' in value)) return undefined
  const { quota, body, tries, due } = value
  if (typeof quota !== 'string' || typeof body !== 'string') return undefined
  return typeof tries === 'number' && typeof due === 'number' ? { quota, body, tries, due } : undefined
}

const pauseOf = (tries: number): number =>
  Math.min(limits.quotaHookPauseMs * 2 ** Math.min(tries, 20), limits.quotaHookPauseMsMax)

export const createWarnings = (room: WarningsRoom): Warnings => {
  const { records, clock } = room
  /** Not yet marked as told. */
  const waiting = new Map<string, QuotaWarning>()
  let marking: Promise<void> | undefined
  let sending: Promise<void> | undefined
  let isClosed = false
  /** When to look into the outbox next, on the monotonic scale; it may hold what another process left. */
  let lookAt = 0

  /** The message is laid down before the mark: it may be told twice then, under one id, but not never. */
  const mark = async (warning: QuotaWarning): Promise<void> => {
    const { id, quota, until } = warning
    const expiresAt = until + limits.quotaKeptMs
    const key = `quota/warned/${id}`
    if ((await records.get(key)) !== undefined) return
    if (room.hook(quota) !== undefined) {
      const message: Message = { quota, body: messageOf(warning, clock.now()), tries: 0, due: 0 }
      await records.put(`${outbox}${id}`, JSON.stringify(message), { expect: 'absent', expiresAt })
      lookAt = 0
    }
    if ((await records.put(key, '', { expect: 'absent', expiresAt })) !== undefined) room.onWarn(warning)
  }

  const markAll = async (): Promise<void> => {
    for (const warning of waiting.values()) {
      await mark(warning)
      waiting.delete(warning.id)
    }
  }

  /** Whoever moves its next try away sends it. */
  const send = async (row: RecordRow): Promise<void> => {
    const message = readMessage(row.value)
    if (message !== undefined && message.due > clock.now()) return
    const hook = message && room.hook(message.quota)
    if (message === undefined || hook === undefined) {
      await records.delete(row.key, row.version)
      return
    }
    const next: Message = {
      ...message,
      tries: message.tries + 1,
      due: clock.now() + limits.quotaHookMs + pauseOf(message.tries),
    }
    const claimed = await records.put(row.key, JSON.stringify(next), {
      expect: row.version,
      ...(row.expiresAt === undefined ? {} : { expiresAt: row.expiresAt }),
    })
    if (claimed === undefined) return
    try {
      await hook(message.body, row.key.slice(outbox.length))
    } catch (error) {
      room.onFault(error)
      return
    }
    if (!isClosed) await records.delete(row.key)
  }

  const sendAll = async (): Promise<void> => {
    const rows = await records.list(outbox, { limit: limits.recordsListed })
    const queue = rows.values()
    const lane = async (): Promise<void> => {
      for (const row of queue) if (!isClosed) await send(row)
    }
    await Promise.all(Array.from({ length: limits.quotaHooks }, lane))
    // those that failed are due after a pause; none are looked for less often
    const pause = rows.length === 0 ? limits.quotaHookScanMs : limits.quotaHookPauseMs
    lookAt = Math.min(lookAt, clock.monotonic() + pause)
  }

  const startSending = (): void => {
    if (isClosed || sending !== undefined || clock.monotonic() < lookAt) return
    lookAt = Number.POSITIVE_INFINITY
    sending = sendAll()
      .catch((error: unknown) => {
        room.onFault(error)
        lookAt = clock.monotonic() + limits.quotaHookPauseMs
      })
      .finally(() => {
        sending = undefined
      })
  }

  const tick = (): void => {
    if (waiting.size > 0)
      marking ??= markAll()
        .catch((error: unknown) => room.onFault(error))
        .finally(() => {
          marking = undefined
          startSending()
        })
    else startSending()
  }

  return {
    reached(warning) {
      if (waiting.size >= limits.quotaWarnings) return
      waiting.set(warning.id, warning)
    },
    tick,
    async close() {
      tick()
      isClosed = true
      await marking
    },
  }
}
