/**
 * Connections to servers that keep sessions, each of one caller and never another's. One that the server may ask over
 * serves a single call at a time, so that a question belongs to the call that is under way.
 */
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Connection } from './connection.ts'

/** A connection for one call. */
export interface Lease {
  readonly connection: Connection
  /** `spoilt`: something of this call may still come over it, so that no other call shall have it. */
  release(spoilt: boolean): void
}

interface Shared {
  readonly connection: Promise<Connection>
  /** The connection, once it is there. */
  made: Connection | undefined
  users: number
}

interface Seat {
  /** Not in use, the one used last at the end. */
  readonly idle: { readonly connection: Connection; readonly stopTimer: () => void }[]
  /** For calls that the server cannot ask anything: one for all of them. */
  shared: Shared | undefined
  open: number
}

export class Sessions {
  readonly #clock: Clock
  readonly #seats = new Map<string, Seat>()
  #open = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `key` names server, caller and all that a connection is made with. Throws `overloaded`, and what `open` throws. */
  async take(key: string, isShared: boolean, open: () => Promise<Connection>): Promise<Lease> {
    const seat = this.#seats.get(key) ?? { idle: [], shared: undefined, open: 0 }
    this.#seats.set(key, seat)
    try {
      return isShared ? await this.#share(key, seat, open) : await this.#own(key, seat, open)
    } finally {
      this.#tidy(key, seat)
    }
  }

  async close(): Promise<void> {
    const idle = [...this.#seats.values()].flatMap((seat) => seat.idle.splice(0))
    const shared = [...this.#seats.values()].flatMap((seat) => seat.shared?.connection ?? [])
    this.#seats.clear()
    for (const { stopTimer } of idle) stopTimer()
    const all = [...idle.map(({ connection }) => connection), ...(await settled(shared))]
    await Promise.all(all.map((connection) => connection.close()))
  }

  async #own(key: string, seat: Seat, open: () => Promise<Connection>): Promise<Lease> {
    const known = this.#popIdle(seat)
    const connection = known ?? (await this.#make(seat, open))
    return {
      connection,
      release: (spoilt) => {
        if (spoilt || connection.dead || connection.era === 'modern') this.#drop(seat, connection)
        else this.#keep(key, seat, connection)
        this.#tidy(key, seat)
      },
    }
  }

  async #share(key: string, seat: Seat, open: () => Promise<Connection>): Promise<Lease> {
    const known = seat.shared?.made?.dead === true ? undefined : seat.shared
    const shared: Shared = known ?? { connection: this.#reuse(seat, open), made: undefined, users: 0 }
    seat.shared = shared
    shared.users++
    const leave = (): void => {
      shared.users--
    }
    let connection: Connection
    try {
      connection = await shared.connection
      shared.made = connection
    } catch (error) {
      leave()
      if (seat.shared === shared) seat.shared = undefined
      throw error
    }
    return {
      connection,
      release: () => {
        leave()
        if (seat.shared === shared && (connection.dead || shared.users === 0)) seat.shared = undefined
        if (shared.users > 0) return
        if (connection.dead || connection.era === 'modern') this.#drop(seat, connection)
        else this.#keep(key, seat, connection)
        this.#tidy(key, seat)
      },
    }
  }

  async #reuse(seat: Seat, open: () => Promise<Connection>): Promise<Connection> {
    return this.#popIdle(seat) ?? (await this.#make(seat, open))
  }

  #popIdle(seat: Seat): Connection | undefined {
    for (let entry = seat.idle.pop(); entry !== undefined; entry = seat.idle.pop()) {
      entry.stopTimer()
      if (!entry.connection.dead) return entry.connection
      this.#drop(seat, entry.connection)
    }
    return undefined
  }

  async #make(seat: Seat, open: () => Promise<Connection>): Promise<Connection> {
    if (seat.open >= limits.mcpSessionsPerCaller) throw new GatewayError('overloaded')
    if (this.#open >= limits.mcpSessions && !this.#evict()) throw new GatewayError('overloaded')
    seat.open++
    this.#open++
    try {
      return await open()
    } catch (error) {
      seat.open--
      this.#open--
      throw error
    }
  }

  #keep(key: string, seat: Seat, connection: Connection): void {
    const entry = {
      connection,
      stopTimer: this.#clock.after(limits.mcpSessionIdleMs, () => {
        seat.idle.splice(seat.idle.indexOf(entry), 1)
        this.#drop(seat, connection)
        this.#tidy(key, seat)
      }),
    }
    seat.idle.push(entry)
  }

  #drop(seat: Seat, connection: Connection): void {
    seat.open--
    this.#open--
    void connection.close()
  }

  /** Closes the first idle connection that is found. */
  #evict(): boolean {
    for (const [key, seat] of this.#seats) {
      const entry = seat.idle.shift()
      if (entry === undefined) continue
      entry.stopTimer()
      this.#drop(seat, entry.connection)
      this.#tidy(key, seat)
      return true
    }
    return false
  }

  #tidy(key: string, seat: Seat): void {
    if (seat.open === 0 && seat.shared === undefined && this.#seats.get(key) === seat) this.#seats.delete(key)
  }
}

const settled = async (promises: readonly Promise<Connection>[]): Promise<Connection[]> =>
  (await Promise.allSettled(promises)).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
