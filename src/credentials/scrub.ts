/**
 * What a target echoes of its credential does not reach the caller (D21), in whatever form it comes: each character of a
 * secret is looked for as itself, escaped as in JSON (also twice), and as percent triples. One shorter than
 * `shortChars` is masked only where it stands alone: a user name such as `me` is no reason to spoil every `name`.
 */
import type { Content, InboundResponse, Json, Outcome } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'

const mask = '[secret]'
const shortChars = 4

interface Finder {
  readonly raw: string
  /** Letters and digits that stand in every form of the secret; most answers lack them and need no further look. */
  readonly sign: string
  /** Its characters, neighbouring backslashes as one. */
  readonly tokens: readonly Token[]
  /** Masked only where no letter or digit is beside it. */
  readonly alone: boolean
}

interface Token {
  readonly text: string
  /** A letter or digit is never escaped. */
  readonly plain: boolean
  /** `%XX` of its UTF-8, in capitals. */
  readonly triples: string
}

const finders = new WeakMap<Secret, Finder>()

function findersOf(secrets: readonly Secret[]): readonly Finder[] {
  return secrets.map((secret) => {
    let found = finders.get(secret)
    if (found === undefined) {
      found = toFinder(secret)
      finders.set(secret, found)
    }
    return found
  })
}

function toFinder(secret: Secret): Finder {
  const raw = secret.reveal()
  const runs = raw.match(/[A-Za-z0-9]+/g) ?? []
  const sign = runs.reduce((longest, run) => (run.length > longest.length ? run : longest), '')
  const tokens = (raw.match(/\\+|[^\\]/gu) ?? []).map(
    (text): Token => ({
      text,
      plain: /^[A-Za-z0-9]$/.test(text),
      // looked for only where the character is not plain; most of a signature is
      triples: /^[A-Za-z0-9]$/.test(text)
        ? ''
        : Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`).join(''),
    }),
  )
  return { raw, sign, tokens, alone: raw.length < shortChars }
}

/** Where the secret ends that begins at `start`, or −1. Each token takes what it can and nothing is tried twice. */
function endAt(text: string, start: number, tokens: readonly Token[]): number {
  let at = start
  for (const { text: wanted, plain, triples } of tokens) {
    const next = plain ? (text.startsWith(wanted, at) ? at + 1 : -1) : escapedEnd(text, at, wanted, triples)
    if (next < 0) return -1
    at = next
  }
  return at
}

const slashesMax = 16

/** A character as itself after any backslashes, as `\uXXXX`, as triples; a space also as `+`. */
function escapedEnd(text: string, at: number, wanted: string, triples: string): number {
  let slashes = 0
  while (slashes < slashesMax && text[at + slashes] === '\\') slashes++
  const after = at + slashes
  const unicode = slashes > 0 && text[after] === 'u' ? unicodeEnd(text, at, wanted) : -1
  if (unicode >= 0) return unicode
  if (wanted.startsWith('\\') && slashes >= wanted.length) return after
  if (text.startsWith(wanted, after)) return after + wanted.length
  if (slashes === 0 && wanted === ' ' && text[at] === '+') return at + 1
  return text.slice(at, at + triples.length).toUpperCase() === triples ? at + triples.length : -1
}

function unicodeEnd(text: string, start: number, wanted: string): number {
  let at = start
  for (let index = 0; index < wanted.length; index++) {
    let slashes = 0
    while (slashes < slashesMax && text[at + slashes] === '\\') slashes++
    const digits = text.slice(at + slashes + 1, at + slashes + 5)
    if (slashes === 0 || text[at + slashes] !== 'u' || Number.parseInt(digits, 16) !== wanted.charCodeAt(index))
      return -1
    at += slashes + 5
  }
  return at
}

/** A text of any kind without the secrets. */
export const scrubText = (text: string, secrets: readonly Secret[]): string => cleaned(text, findersOf(secrets))

function cleaned(text: string, all: readonly Finder[]): string {
  return all.reduce((left, finder) => (left.includes(finder.sign) ? without(left, finder) : left), text)
}

const isWordAt = (text: string, at: number): boolean => /[\p{L}\p{N}]/u.test(text[at] ?? '')

function without(text: string, { tokens, alone }: Finder): string {
  if (tokens.length === 0) return text
  let out = ''
  let from = 0
  for (let start = 0; start < text.length; start++) {
    const end = endAt(text, start, tokens)
    if (end < 0 || (alone && (isWordAt(text, start - 1) || isWordAt(text, end)))) continue
    out += text.slice(from, start) + mask
    from = end
    start = end - 1
  }
  return out + text.slice(from)
}

/** The bytes of an answer without the secrets as they were sent; for what is passed on as bytes. */
export function scrubBytes(response: InboundResponse, secrets: readonly Secret[]): InboundResponse {
  const found = findersOf(secrets).filter(({ raw }) => raw !== '' && response.body.includes(raw))
  if (found.length === 0) return response
  let text = response.body.toString('latin1')
  for (const { raw, alone } of found) {
    const bytes = Buffer.from(raw).toString('latin1')
    text = text.replaceAll(bytes, (same, at: number) =>
      alone && (isWordAt(text, at - 1) || isWordAt(text, at + bytes.length)) ? same : mask,
    )
  }
  return { ...response, body: Buffer.from(text, 'latin1') }
}

/** An outcome without the secrets in any of its texts. */
export function scrubOutcome(outcome: Outcome, secrets: readonly Secret[]): Outcome {
  if (secrets.length === 0) return outcome
  const all = findersOf(secrets)
  const clean = (text: string): string => cleaned(text, all)
  const value = <T extends Json>(json: T): T => JSON.parse(clean(JSON.stringify(json))) as T
  return {
    ...outcome,
    content: outcome.content.map((block) => scrubBlock(block, clean)),
    ...(outcome.structured === undefined ? {} : { structured: clean(outcome.structured) }),
    ...(outcome.meta === undefined ? {} : { meta: value({ ...outcome.meta }) }),
    ...(outcome.ask === undefined
      ? {}
      : { ask: JSON.parse(clean(JSON.stringify(outcome.ask))) as NonNullable<Outcome['ask']> }),
  }
}

function scrubBlock(block: Content, clean: (text: string) => string): Content {
  const value = <T extends object>(json: T): T => JSON.parse(clean(JSON.stringify(json))) as T
  if (block.type === 'resource_link') return value(block)
  const facts = {
    ...(block.annotations === undefined ? {} : { annotations: value(block.annotations) }),
    ...(block._meta === undefined ? {} : { _meta: value(block._meta) }),
  }
  if (block.type === 'text') return { ...block, ...facts, text: clean(block.text) }
  if (block.type !== 'resource') return { ...block, ...facts, mimeType: clean(block.mimeType) }
  const { resource } = block
  const named = {
    ...resource,
    uri: clean(resource.uri),
    ...(resource.mimeType === undefined ? {} : { mimeType: clean(resource.mimeType) }),
  }
  return { type: 'resource', ...facts, resource: 'text' in named ? { ...named, text: clean(named.text) } : named }
}
