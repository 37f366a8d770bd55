/**
 * What a target echoes of its credential does not reach the caller (D21), in whatever form it comes: each character of a
 * secret is looked for as itself, escaped as in JSON (also twice), and as percent triples.
 */
import type { Content, InboundResponse, Json, Outcome } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { CredentialProvider } from './provider.ts'

const mask = '[secret]'

interface Finder {
  readonly raw: string
  /** Letters and digits that stand in every form of the secret; most answers lack them and need no further look. */
  readonly sign: string
  readonly pattern: RegExp
}

const finders = new WeakMap<CredentialProvider, readonly Finder[]>()

function findersOf(credential: CredentialProvider): readonly Finder[] {
  let found = finders.get(credential)
  if (found === undefined) {
    found = credential.secrets.map(toFinder)
    finders.set(credential, found)
  }
  return found
}

function toFinder(secret: Secret): Finder {
  const raw = secret.reveal()
  const runs = raw.match(/[A-Za-z0-9]+/g) ?? []
  const sign = runs.reduce((longest, run) => (run.length > longest.length ? run : longest), '')
  return { raw, sign, pattern: new RegExp(Array.from(raw, formsOf).join(''), 'g') }
}

const hex = (value: number, digits: number): string =>
  Array.from(value.toString(16).padStart(digits, '0'), (digit) =>
    /[a-f]/.test(digit) ? `[${digit}${digit.toUpperCase()}]` : digit,
  ).join('')

/** One character as itself (after any backslashes), as `\uXXXX`, as triples of its UTF-8, a space also as `+`. */
function formsOf(char: string): string {
  const plain = char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  if (/[A-Za-z0-9]/.test(char)) return plain
  const units = Array.from({ length: char.length }, (_, index) => `\\\\+u${hex(char.charCodeAt(index), 4)}`).join('')
  const triples = Array.from(Buffer.from(char), (byte) => `%${hex(byte, 2)}`).join('')
  return `(?:${units}|${triples}|\\\\*${plain}${char === ' ' ? '|\\+' : ''})`
}

const scrubText = (text: string, all: readonly Finder[]): string =>
  all.reduce((left, { sign, pattern }) => (left.includes(sign) ? left.replace(pattern, mask) : left), text)

/** The bytes of an answer without the secret as it was sent; for what is passed on as bytes. */
export function scrubBytes(response: InboundResponse, credential: CredentialProvider): InboundResponse {
  const found = findersOf(credential).filter(({ raw }) => response.body.includes(raw))
  if (found.length === 0) return response
  let text = response.body.toString('latin1')
  for (const { raw } of found) text = text.replaceAll(Buffer.from(raw).toString('latin1'), mask)
  return { ...response, body: Buffer.from(text, 'latin1') }
}

/** An outcome without the secret in any of its texts. */
export function scrubOutcome(outcome: Outcome, credential: CredentialProvider): Outcome {
  const all = findersOf(credential)
  const clean = (text: string): string => scrubText(text, all)
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
  if (block.type === 'text') {
    const text = clean(block.text)
    return text === block.text ? block : { ...block, text }
  }
  if (block.type !== 'resource') return { ...block, mimeType: clean(block.mimeType) }
  const { resource } = block
  const named = {
    ...resource,
    uri: clean(resource.uri),
    ...(resource.mimeType === undefined ? {} : { mimeType: clean(resource.mimeType) }),
  }
  return { type: 'resource', resource: 'text' in named ? { ...named, text: clean(named.text) } : named }
}
