/** Bytes that arrive in pieces, gathered up to a bound. */

const firstBytes = 16 * 1024

/**
 * One piece is kept as it came, which is the usual answer. More are copied together, so that a stranger who sends
 * single bytes costs their number and not a Buffer object (and the socket’s read buffer behind it) for each.
 */
export class Gathering {
  readonly #limit: number
  #store: Buffer = Buffer.alloc(0)
  #length = 0

  /** @param limit the most bytes that are kept */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Keeps what fits; false when not all of it did. */
  add(piece: Buffer): boolean {
    const room = this.#limit - this.#length
    const part = piece.length > room ? piece.subarray(0, room) : piece
    const length = this.#length + part.length
    if (this.#length === 0) {
      this.#store = part
    } else if (part.length > 0) {
      if (length > this.#store.length) this.#grow(length)
      this.#store.set(part, this.#length)
    }
    this.#length = length
    return part.length === piece.length
  }

  /** What was kept so far. */
  bytes(): Buffer {
    return this.#store.subarray(0, this.#length)
  }

  #grow(needed: number): void {
    const room = Math.min(this.#limit, Math.max(needed, 2 * this.#store.length, firstBytes))
    const larger = Buffer.allocUnsafe(room)
    larger.set(this.#store.subarray(0, this.#length))
    this.#store = larger
  }
}
