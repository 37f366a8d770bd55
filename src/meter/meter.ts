/** The meter: `begin` before a call is made, `end` before its answer leaves. What they record is on file when they resolve. */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { OutcomeKind, Principal } from '../core/model.ts'
import { createIds } from './id.ts'
import { beginLine, endLine, lineOverheadBytes, namesText } from './line.ts'
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
  begin(who: Principal, tool: MeteredTool): Promise<Entry>
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
}

/** Lengths first, so that no two different lists of names give one key. */
const keyOf = (who: Principal, tool: MeteredTool): string =>
  `${who.tenant.length},${who.subject.length},${who.client.length},${tool.target.length}:` +
  `${who.tenant}${who.subject}${who.client}${tool.target}${tool.name}`

/** `namesText`, remembered for the `limits.meterNames` pairs of principal and tool that were first seen last. */
const createNames = (): ((who: Principal, tool: MeteredTool) => string) => {
  const known = new Map<string, string>()
  return (who, tool) => {
    const key = keyOf(who, tool)
    const found = known.get(key)
    if (found !== undefined) return found
    const names = namesText(who, tool)
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

class SpoolEntry implements Entry {
  readonly id: string
  readonly #at: number
  readonly #startedMs: number
  readonly #names: string
  readonly #clock: Clock
  readonly #spool: Spool
  #ended = false

  constructor(id: string, at: number, names: string, clock: Clock, spool: Spool) {
    this.id = id
    this.#at = at
    this.#startedMs = clock.monotonic()
    this.#names = names
    this.#clock = clock
    this.#spool = spool
  }

  end(result: CallResult): Promise<void> {
    if (this.#ended) return Promise.resolve()
    this.#ended = true
    const { outcome, status, bytesIn, bytesOut } = result
    const ms = this.#clock.monotonic() - this.#startedMs
    return this.#spool.end(this.id, endLine(this.id, this.#at, this.#names, { outcome, status, ms, bytesIn, bytesOut }))
  }
}

/** Opens a meter on the spool in `dir`. It does not throw for a directory that cannot be written: it is then not healthy. */
export const createMeter = (options: MeterOptions): Meter => {
  const { clock } = options
  const spool = openSpool(options)
  const nextId = createIds(clock)
  const namesOf = createNames()
  return {
    get healthy() {
      return spool.healthy
    },
    async begin(who, tool) {
      const names = namesOf(who, tool)
      const id = nextId()
      const at = clock.now()
      const entry = new SpoolEntry(id, at, names, clock, spool)
      await spool.begin(id, beginLine(id, at, names))
      return entry
    },
    close: () => spool.close(),
  }
}
