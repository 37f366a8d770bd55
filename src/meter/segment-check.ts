/** Checks one segment against its own seals and against what others say of it, line by line, in bounded memory. */
import { createHash } from 'node:crypto'
import { limits } from '../core/limits.ts'
import { differenceOf } from './block.ts'
import { firstHash, isSealAt, nextHash, sealLine, tagOfLine, tagsIn } from './chain.ts'

export type FaultKind =
  /** The end of a segment that was cut short within a line, as by `kill -9`: it was never acknowledged. No offence. */
  | 'torn'
  | 'altered'
  | 'removed'
  | 'inserted'
  | 'swapped'
  /** The end of a segment is missing. */
  | 'cut_off'
  /** The segment fits its own seals, and not what is known of it: it was written anew. */
  | 'rewritten'
  | 'segment_removed'
  /** The chain in the database was changed. */
  | 'chain_altered'
  /** The chain does not lead to the head that was given. */
  | 'head_unknown'

export interface Fault {
  /** Empty for what concerns no segment. */
  readonly segment: string
  /** From 1. */
  readonly line?: number
  /** Bytes from the segment’s beginning. */
  readonly offset: number
  readonly kind: FaultKind
  readonly words: string
}

/** What somebody says of a segment: up to the offset it had this hash (chain.ts). */
export interface Claim {
  readonly offset: number
  readonly hash: string
  /** Who says so, for words: `the database`. */
  readonly by: string
  /** The segment ended there. */
  readonly closed: boolean
}

const newline = 0x0a
const endKeys = [Buffer.from('{"e":'), Buffer.from('{"r":')] as const
const sealSyntax = /^\{"h":"([0-9a-f]{64})","l":"([^"]*)"(,"end":true)?\}\n$/

const verbs = { altered: 'was altered', removed: 'was removed', inserted: 'was inserted', swapped: 'changed places' }

export class SegmentCheck {
  readonly #segment: string
  /** In order of offsets. */
  readonly #claims: Claim[]
  readonly #others: Iterable<string>
  readonly faults: Fault[] = []
  events = 0
  #rest = Buffer.alloc(0)
  #offset = 0
  #line = 0
  /** Of the group of lines since the last seal. */
  #sealed: string
  #hash: ReturnType<typeof createHash>
  #tags: string[] = []
  #offsets: number[] = []
  /** Their text, as far as it is kept. */
  #lines: string[] = []
  #kept = 0
  #start = { offset: 0, line: 0 }
  #ended = false
  #seals = 0

  /** `others` are the names of all segments, to tell when one was put in the place of another. */
  constructor(segment: string, claims: readonly Claim[], others: Iterable<string> = []) {
    this.#segment = segment
    this.#others = others
    this.#claims = claims.toSorted((one, other) => one.offset - other.offset)
    this.#sealed = firstHash(segment)
    this.#hash = createHash('sha256').update(this.#sealed)
  }

  /** The last seal that was read, for a claim to be made of it. */
  get seal(): { readonly offset: number; readonly hash: string } | undefined {
    return this.#seals === 0 ? undefined : { offset: this.#start.offset, hash: this.#sealed }
  }

  /** Takes the segment’s next bytes, cut anywhere. */
  push(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let start = 0
    for (let end = all.indexOf(newline); end !== -1; end = all.indexOf(newline, start)) {
      this.#take(all.subarray(start, end + 1))
      start = end + 1
    }
    this.#rest = Buffer.from(all.subarray(start))
  }

  /** The segment has no more bytes. `finished`: nobody writes to it any more. */
  finish(finished: boolean): void {
    if (finished && this.#rest.length > 0)
      this.#fault('torn', this.#offset, this.#line + 1, `Its last ${this.#rest.length} bytes are a line cut short.`)
    const claim = this.#claims.at(-1)
    // where lines are missing as told above, the end has moved
    if (claim !== undefined && this.faults.every(({ kind }) => kind === 'torn'))
      this.#fault(
        ...(['cut_off', this.#offset, this.#line + 1] as const),
        `It ends here, and had ${claim.offset} bytes, ${claim.by} says.`,
      )
    this.#claims.length = 0
  }

  #take(line: Buffer): void {
    if (this.#ended)
      this.#fault('inserted', this.#offset, this.#line + 1, 'A line was inserted behind the segment’s end.')
    // one fault is enough for all that was appended
    this.#ended = false
    const isSeal = isSealAt(line, 0)
    const before = { offset: this.#offset, line: this.#line }
    this.#offset += line.length
    this.#line += 1
    if (isSeal) this.#takeSeal(line.toString(), before)
    else this.#takeLine(line, before.offset)
    this.#settleClaims(isSeal)
  }

  #takeLine(line: Buffer, offset: number): void {
    if (endKeys.some((key) => line.subarray(0, key.length).equals(key))) this.events += 1
    this.#hash.update(line)
    const text = line.toString()
    this.#tags.push(tagOfLine(text))
    this.#offsets.push(offset)
    this.#kept += line.length
    if (this.#kept <= limits.rollupBatchBytes) this.#lines.push(text)
  }

  #takeSeal(text: string, { offset, line }: { offset: number; line: number }): void {
    const [, stated, list = '', end] = sealSyntax.exec(text) ?? []
    const last = end !== undefined
    const hash = (last ? this.#hash.update('end') : this.#hash).digest('hex')
    if (stated === undefined || (stated === hash && text !== sealLine(hash, this.#tags.join(''), last)))
      this.#fault('altered', offset, line + 1, `The seal in line ${line + 1} was altered.`)
    else if (stated !== hash) this.#faultInGroup(stated, tagsIn(list), line)
    this.#seals += 1
    this.#ended = last
    // from here on the stated hash is gone on with, so that one fault does not hide the next
    this.#sealed = stated ?? hash
    this.#hash = createHash('sha256').update(this.#sealed)
    this.#tags = []
    this.#offsets = []
    this.#lines = []
    this.#kept = 0
    this.#start = { offset: this.#offset, line: this.#line }
  }

  /** Tells what was done to the lines since the last seal, which the seal in line `sealed` says were others. */
  #faultInGroup(stated: string, tags: readonly string[], sealed: number): void {
    const lines = this.#lines.length === this.#tags.length ? this.#lines : []
    const { kind, line, until } = differenceOf(lines, this.#tags, tags)
    const other = this.#seals === 0 && this.#find(stated, lines)
    if (typeof other === 'string')
      return this.#fault('swapped', 0, 1, `This is segment ${other} under the name of another.`)
    const seal = kind === 'inserted' ? this.#lostSeal(stated, lines, tags.length) : undefined
    if (seal !== undefined) {
      const at = this.#start.line + seal + 1
      return this.#fault('removed', this.#offsets[seal] ?? 0, at, `A seal before line ${at} was removed.`)
    }
    const [first, last] = [this.#start.line + line + 1, Math.min(this.#start.line + until, Math.max(sealed, 1))]
    const place =
      kind === 'removed'
        ? `A line before line ${first}`
        : last > first
          ? `A line from ${first} to ${last}`
          : `Line ${first}`
    this.#fault(kind, this.#offsets[line] ?? this.#start.offset, first, `${place} ${verbs[kind]}.`)
  }

  /** The name of the segment that these are the first lines of. */
  #find(stated: string, lines: readonly string[]): string | undefined {
    for (const name of this.#others) if (nextHash(firstHash(name), lines.join(''), false) === stated) return name
    return undefined
  }

  /** The index of the line before which a seal is missing, if nothing else is wrong; `count` lines are behind it. */
  #lostSeal(stated: string, lines: readonly string[], count: number): number | undefined {
    const at = lines.length - count
    const lost = nextHash(this.#sealed, lines.slice(0, at).join(''), false)
    return nextHash(lost, lines.slice(at).join(''), false) === stated ? at : undefined
  }

  /** Claims of this place, and those that say that a line ended within the line just read. */
  #settleClaims(sealed: boolean): void {
    for (let claim = this.#claims[0]; claim !== undefined && claim.offset <= this.#offset; claim = this.#claims[0]) {
      this.#claims.shift()
      const hash = sealed ? this.#sealed : this.#hash.copy().digest('hex')
      if (claim.offset === this.#offset && claim.hash === hash) {
        this.#ended ||= claim.closed
        continue
      }
      // what the seals have told already needs no second word
      if (this.faults.length === 0)
        this.#fault('rewritten', claim.offset, this.#line, `Up to here it was something else, ${claim.by} says.`)
    }
  }

  #fault(kind: FaultKind, offset: number, line: number, words: string): void {
    if (this.faults.length >= limits.verifyFaults) return
    this.faults.push({ segment: this.#segment, line, offset, kind, words })
  }
}
