/**
 * Proves that the ledger is what was written: every segment against its seals, against what the segments behind it say
 * of it, and against what the database knows of it; and the database’s own chain from its first link to its head.
 *
 * What it cannot prove. The hashes have no key: whoever can write to the spool’s directory before the next roll-up, a few
 * seconds, can write a line of his own, seal it, and be believed; and so can the process that meters. Later the database
 * gives him away. Whoever can write to both can make a ledger that is consistent and false, or let a segment seem to
 * have reached the end of its retention, or cut the chain’s last links off where no segment ended. Against him a head helps that was kept elsewhere: what is in the chain up to it
 * cannot be changed, then. The lines behind the last seal of a process that was killed (10 ms at most) stand only under
 * what the next roll-up found; what a power cut took of them, too, shows as cut off. Of segments that a
 * former version had accounted for, which have no seals, it is known only that they are there. Of segments that were removed or put away their last hash remains in the chain, and
 * not what they held. And it is the events that are proved, not the sums of them in the database.
 */
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import { firstHead, headOf as headOfLink, type StoredLink } from '../store/link.ts'
import type { Store, StoredSegment } from '../store/store.ts'
import { type Claim, type Fault, SegmentCheck } from './segment-check.ts'
import { headOf, isFinished, listSegments, readBytes, type SegmentFile } from './segments.ts'

export interface VerifyReport {
  /** No fault but torn ends. */
  readonly ok: boolean
  /** Segments that were read; those that their retention has ended, of which only hashes remain, are not among them. */
  readonly segments: number
  readonly events: number
  /** Stands for everything up to now: to be kept elsewhere, and given again later. 64 hexadecimal digits. */
  readonly head: string
  /** At most `limits.verifyFaults` a segment. */
  readonly faults: readonly Fault[]
}

export interface VerifyOptions {
  /** The spool’s directory (`spoolDir`). */
  readonly dir: string
  readonly store: Store
  readonly clock: Pick<Clock, 'now'>
  /** A head that was told before: history up to it must still be the same. */
  readonly head?: string | undefined
}

/** Who says what of which segment. */
type Claims = Map<string, Claim[]>

const addClaim = (claims: Claims, segment: string, claim: Claim): void => {
  const known = claims.get(segment)
  if (known === undefined) claims.set(segment, [claim])
  else known.push(claim)
}

async function* segmentsOf(store: Store): AsyncGenerator<StoredSegment, void, void> {
  for (let after = ''; ; ) {
    const page = await store.segments(after, limits.verifyPage)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.segment
  }
}

async function* linksOf(store: Store): AsyncGenerator<StoredLink, void, void> {
  for (let after = 0; ; ) {
    const page = await store.links(after, limits.verifyPage)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.number
  }
}

interface Chain {
  readonly head: string
  readonly faults: Fault[]
  /** The last place of each segment that there is a link for. */
  readonly linked: Map<string, number>
  /** Segments whose end there is a link for. */
  readonly ended: Set<string>
}

/** Follows the links; what they say of segments that are still there becomes claims. */
const followLinks = async (
  store: Store,
  kept: ReadonlySet<string>,
  wanted: string | undefined,
  claims: Claims,
): Promise<Chain> => {
  const faults: Fault[] = []
  const linked = new Map<string, number>()
  const ended = new Set<string>()
  let head = firstHead
  let found = wanted === undefined || wanted === firstHead
  let number = 0
  for await (const link of linksOf(store)) {
    number += 1
    const { segment, offset, hash, closed } = link
    if (faults.length === 0 && (link.number !== number || headOfLink(head, link) !== link.head))
      faults.push({
        ...{ segment, offset, kind: 'chain_altered' },
        words: `Link ${number} of the chain in the database was altered, or one before it was removed.`,
      })
    head = link.head
    found ||= faults.length === 0 && head === wanted
    if (closed) ended.add(segment)
    if (!kept.has(segment)) continue
    addClaim(claims, segment, { offset, hash, closed, by: 'the chain in the database' })
    linked.set(segment, Math.max(linked.get(segment) ?? 0, offset))
  }
  if (!found)
    faults.push({
      ...{ segment: '', offset: 0, kind: 'head_unknown' },
      words: 'The chain in the database does not lead to the head that was given: history was changed since.',
    })
  return { head, faults, linked, ended }
}

/** `undefined` when the segment has reached the end of its retention meanwhile. */
const checkSegment = (
  file: SegmentFile,
  finished: boolean,
  claims: readonly Claim[],
  others: Iterable<string>,
): SegmentCheck | undefined => {
  const check = new SegmentCheck(file.name, claims, others)
  for (let offset = 0; offset < file.bytes; ) {
    const bytes = readBytes(file.path, offset, Math.min(limits.rollupBatchBytes, file.bytes - offset))
    if (bytes === undefined) return undefined
    if (bytes.length === 0) break
    check.push(bytes)
    offset += bytes.length
  }
  check.finish(finished)
  return check
}

/** Segments that the database knows, whose file is missing and of which it does not know why. */
const missing = async (
  store: Store,
  known: readonly StoredSegment[],
  present: ReadonlySet<string>,
): Promise<Fault[]> => {
  const faults: Fault[] = []
  for (const { segment, gone } of known) {
    if (gone !== undefined || present.has(segment)) continue
    // it may have reached its end while we looked
    if ((await store.usageMark(segment))?.gone !== undefined) continue
    faults.push({
      ...{ segment, offset: 0, kind: 'segment_removed' },
      words: 'The segment was removed before its retention had ended.',
    })
  }
  return faults
}

/** Segments that have ended, whose link the chain has no more: it got one in the step that ended them. */
const unlinked = (known: readonly StoredSegment[], { ended, faults }: Chain): Fault[] =>
  faults.some(({ kind }) => kind === 'chain_altered')
    ? []
    : known
        .filter(({ segment, closed, chain }) => closed && chain !== undefined && !ended.has(segment))
        .map(({ segment, offset }) => ({
          ...{ segment, offset, kind: 'chain_altered' },
          words: 'The link that it got at its end was removed from the chain in the database.',
        }))

/** What segments say in their heads of those before them. A segment that nobody has any more is the database’s to miss. */
const claimsOfHeads = (files: readonly SegmentFile[], known: ReadonlySet<string>, claims: Claims): Fault[] =>
  files.flatMap((file) => {
    const prior = headOf(file)?.prior
    if (prior === undefined) return []
    const { segment, offset, hash } = prior
    addClaim(claims, segment, { offset, hash, closed: false, by: `segment ${file.name}` })
    return known.has(segment) || files.some(({ name }) => name === segment)
      ? []
      : [
          {
            ...{ segment, offset: 0, kind: 'segment_removed' as const },
            words: `It is missing; ${file.name} followed it.`,
          },
        ]
  })

/**
 * Reads the whole ledger, with memory for one group of lines and one claim a segment. To be asked after a roll-up, so
 * that all that is there is known. Where nothing is wrong, links for the segments that are still being written are
 * added, so that the head stands for them, too. Rejects with `store_unavailable`.
 */
export const verifyLedger = async ({ dir, store, clock, head: wanted }: VerifyOptions): Promise<VerifyReport> => {
  // what the database knows comes first: files only grow behind it
  const claims: Claims = new Map()
  const kept = new Set(listSegments(dir, clock.now()).map(({ name }) => name))
  const known: StoredSegment[] = []
  for await (const segment of segmentsOf(store)) known.push(segment)
  const chain = await followLinks(store, kept, wanted, claims)
  const now = clock.now()
  const files = listSegments(dir, now)
  const present = new Set(files.map(({ name }) => name))
  for (const { segment, offset, chain: at } of known)
    if (at !== undefined && present.has(segment))
      addClaim(claims, segment, { offset, hash: at.hash, closed: false, by: 'the database' })
  const faults = [...chain.faults, ...unlinked(known, chain), ...(await missing(store, known, present))]
  faults.push(...claimsOfHeads(files, new Set(known.map(({ segment }) => segment)), claims))
  let [segments, events] = [0, 0]
  const fresh: { segment: string; offset: number; hash: string }[] = []
  for (const file of files) {
    const check = checkSegment(file, isFinished(file, files, now), claims.get(file.name) ?? [], present)
    if (check === undefined) continue
    segments += 1
    events += check.events
    faults.push(...check.faults)
    const { seal } = check
    if (seal !== undefined && seal.offset > (chain.linked.get(file.name) ?? 0))
      fresh.push({ segment: file.name, ...seal })
  }
  const ok = faults.every(({ kind }) => kind === 'torn')
  let { head } = chain
  if (ok) for (const seal of fresh) head = await store.addLink({ ...seal, closed: false })
  return { ok, segments, events, head, faults }
}
