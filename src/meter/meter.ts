/** The meter: `begin` before a call is made, `end` before its answer leaves. What they record is on file when they resolve. */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { OutcomeKind, Principal } from '../core/model.ts'
import type { MeterKind } from '../store/store.ts'
import { createIds } from './id.ts'
import {
  beginLine,
  billedByDefault,
  type CallContext,
  contextText,
  endLine,
  lineOverheadBytes,
  namesText,
  unitsOf,
} from './line.ts'
import { type Disk, type Durability, openSpool, type Spool, type SpoolFault } from './spool.ts'

interface MeteredTool {
  readonly name: string
  readonly target: string
}

/** How a metered call ended. */
export interface CallResult {
  readonly outcome: OutcomeKind
  /** The target’s own status, when it answered. */
  readonly status?: number | undefined
  /** Bytes of the caller’s arguments. */
  readonly bytesIn: number
  /** Bytes of the answer. */
  readonly bytesOut: number
  /** Milliseconds of it that were spent waiting on the target. */
  readonly waitMs?: number | undefined
}

/** What has no effect on a target, so that one line tells it all. */
interface NotedThing {
  readonly meter: Exclude<MeterKind, 'call'>
  /** Empty for none. */
  readonly name: string
  readonly target: string
}

interface NoteResult extends Omit<CallResult, 'waitMs'>, CallContext {
  /** How long it took, in milliseconds; 0 when left out. */
  readonly ms?: number | undefined
}

/** One call under way. */
export interface Entry {
  /** UUIDv7; grows within the process. */
  readonly id: string
  /**
   * Records how the call ended, with its duration, and resolves when that is on file, or kept until it can be. Never
   * rejects; a second call does nothing.
   */
  end(result: CallResult): Promise<void>
}

export interface Meter {
  /**
   * Records that a call is about to be made, and resolves when that is on file. Rejects with `not_recorded` when it cannot
   * be done, and then the call must not be made; `overloaded` over `limits.spoolOpenCalls`.
   */
  begin(who: Principal, tool: MeteredTool, context?: CallContext): Promise<Entry>
  /**
   * Records a search or a listing, which changes nothing at a target, after it was made: in one line, with no begin.
   * Resolves when that is on file. Rejects as `begin` does, and then its answer must not leave.
   */
  note(who: Principal, thing: NotedThing, result: NoteResult): Promise<void>
  /** False while calls cannot be recorded. Readiness follows it. */
  readonly healthy: boolean
  /** Everything recorded is on disk when this resolves. */
  close(): Promise<void>
}

export interface MeterOptions {
  /** The spool’s directory (`spoolDir`). */
  readonly dir: string
  readonly durability: Durability
  readonly clock: Clock
  readonly onFault: (fault: SpoolFault) => void
  readonly disk?: Disk
  /** Outcomes that are one unit each; `billedByDefault` when left out. */
  readonly billed?: ReadonlySet<OutcomeKind>
}

/** Lengths first, so that no two different lists of names give one key. */
const keyOf = (who: Principal, tool: MeteredTool, meter: MeterKind): string =>
  `${meter},${who.tenant.length},${who.subject.length},${who.client.length},${tool.target.length}:` +
  `${who.tenant}${who.subject}${who.client}${tool.target}${tool.name}`

/** `namesText`, remembered for the `limits.meterNames` pairs of principal and tool that were first seen last. */
const createNames = (): ((who: Principal, tool: MeteredTool, meter: MeterKind) => string) => {
  const known = new Map<string, string>()
  return (who, tool, meter) => {
    const key = keyOf(who, tool, meter)
    const found = known.get(key)
    if (found !== undefined) return found
    const names = namesText(who, tool, meter)
    // names are not cut to fit: two principals could become one on a bill
    if (Buffer.byteLength(names) + lineOverheadBytes > limits.spoolLineBytes)
      throw new GatewayError('not_recorded', {
        cause: new Error('The names of this call are too long to be recorded.'),
      })
    if (known.size >= limits.meterNames) for (const oldest of known.keys().take(1)) known.delete(oldest)
    known.set(key, names)
    return names
  }
}

/** What all entries of a meter share. */
interface Room {
  readonly clock: Clock
  readonly spool: Spool
  readonly billed: ReadonlySet<OutcomeKind>
}

class SpoolEntry implements Entry {
  readonly id: string
  readonly #at: number
  readonly #startedMs: number
  readonly #names: string
  readonly #room: Room
  #ended = false

  constructor(id: string, at: number, names: string, room: Room) {
    this.id = id
    this.#at = at
    this.#startedMs = room.clock.monotonic()
    this.#names = names
    this.#room = room
  }

  end(result: CallResult): Promise<void> {
    if (this.#ended) return Promise.resolve()
    this.#ended = true
    const { clock, spool, billed } = this.#room
    const { outcome, status, bytesIn, bytesOut, waitMs } = result
    const ms = clock.monotonic() - this.#startedMs
    const units = unitsOf(outcome, billed)
    const figures = { outcome, status, ms, waitMs, bytesIn, bytesOut, units }
    return spool.end(this.id, endLine(this.id, this.#at, this.#names, figures))
  }
}

/** Opens a meter on the spool in `dir`. It does not throw for a directory that cannot be written: it is then not healthy. */
export const createMeter = (options: MeterOptions): Meter => {
  const { clock, billed = billedByDefault } = options
  const spool = openSpool(options)
  const room: Room = { clock, spool, billed }
  const nextId = createIds(clock)
  const namesOf = createNames()
  return {
    get healthy() {
      return spool.healthy
    },
    async begin(who, tool, context) {
      const names = namesOf(who, tool, 'call') + contextText(context)
      const id = nextId()
      const at = clock.now()
      const entry = new SpoolEntry(id, at, names, room)
      await spool.begin(id, beginLine(id, at, names))
      return entry
    },
    async note(who, thing, result) {
      const names = namesOf(who, thing, thing.meter) + contextText(result)
      const id = nextId()
      const { outcome, status, ms = 0, bytesIn, bytesOut } = result
      const figures = { outcome, status, ms, bytesIn, bytesOut, units: unitsOf(outcome, billed) }
      // as of a call, the moment is that of the beginning
      const at = Math.max(0, clock.now() - Math.round(ms))
      await spool.note(id, endLine(id, at, names, figures))
    },
    close: () => spool.close(),
  }
}
