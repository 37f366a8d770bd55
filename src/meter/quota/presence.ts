/**
 * Who lives among the processes that share a store. Each keeps a record that ends soon unless it is renewed; on one
 * machine the number of the process tells at once.
 */
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { Records } from '../../store/records.ts'
import { isAlive, ownMachine } from '../machine.ts'

/** Which process this is, and which others run. */
export interface ProcessRoom {
  readonly machine: string
  readonly pid: number
  lives(pid: number): boolean
}

export const ownProcess: ProcessRoom = { machine: ownMachine, pid: process.pid, lives: isAlive }

export interface Presence {
  readonly id: string
  /** Others see this process when it resolves. */
  announce(): Promise<void>
  /** Renews the record when it is time, once there has been an announcement. Rejects with `store_unavailable`. */
  renew(): Promise<void>
  /** When another was first seen to be dead, on the monotonic scale in milliseconds; undefined while it lives. */
  deadSince(id: string): Promise<number | undefined>
  /** Others see at once that this process is gone. */
  leave(): Promise<void>
}

const keyOf = (id: string): string => `quota/owner/${id}`

export const createPresence = (records: Records, clock: Clock, id: string, self: ProcessRoom): Presence => {
  const dead = new Map<string, number>()
  let announcing: Promise<void> | undefined
  let renewedAt: number | undefined

  const write = async (): Promise<void> => {
    const at = clock.monotonic()
    const value = JSON.stringify({ machine: self.machine, pid: self.pid })
    for (let tries = 0; tries < limits.quotaTries; tries++) {
      const there = await records.get(keyOf(id))
      const expiresAt = clock.now() + limits.quotaOwnerMs
      const version = await records.put(keyOf(id), value, { expect: there?.version ?? 'absent', expiresAt })
      if (version === undefined) continue
      renewedAt = at
      return
    }
  }

  const lives = async (other: string): Promise<boolean> => {
    const there = await records.get(keyOf(other))
    if (there === undefined) return false
    const { machine, pid } = readPlace(there.value)
    if (machine !== self.machine || pid === undefined) return true
    // a process has one presence: another one with its number came before it
    return pid !== self.pid && self.lives(pid)
  }

  return {
    id,
    async announce() {
      // one that was not renewed for long may have ended
      if (renewedAt !== undefined && clock.monotonic() - renewedAt < limits.quotaOwnerMs / 2) return
      announcing ??= write().finally(() => {
        announcing = undefined
      })
      await announcing
    },
    async renew() {
      if (renewedAt !== undefined && clock.monotonic() - renewedAt >= limits.quotaBeatMs) await write()
    },
    async deadSince(other) {
      if (await lives(other)) {
        dead.delete(other)
        return undefined
      }
      const since = dead.get(other) ?? clock.monotonic()
      if (dead.size >= limits.quotaOwnersRemembered) dead.clear()
      dead.set(other, since)
      return since
    },
    async leave() {
      if (renewedAt === undefined) return
      renewedAt = undefined
      await records.delete(keyOf(id))
    },
  }
}

const readPlace = (text: string): { machine: unknown; pid: number | undefined } => {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || !('machine' in value) || !('pid' in value))
    return { machine: undefined, pid: undefined }
  return { machine: value.machine, pid: typeof value.pid === 'number' ? value.pid : undefined }
}
