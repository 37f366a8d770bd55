/** YAML as it is written: 1.2 by the book, and a few faults that other readers pass over, mended where they are sure. */
import { CORE_SCHEMA, loadAll, mergeTag } from 'js-yaml'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Issue } from '../adapter.ts'

const schema = CORE_SCHEMA.withTags(mergeTag)

const refuse = (words: string, cause?: unknown): GatewayError => new GatewayError('bad_description', { words, cause })

/** One YAML document. Throws `over_limit` or `bad_description`; what was mended goes to `issues`. */
export function parseYaml(text: string, issues: Issue[]): unknown {
  const source = new Source(text)
  for (let mends = 0; ; mends++) {
    try {
      const [first, ...others] = loadAll(source.text, {
        schema,
        json: true,
        maxDepth: limits.documentDepth,
        maxAliases: limits.documentAliases,
      })
      if (others.some((other) => other !== null && other !== undefined))
        throw refuse('The file holds several YAML documents; one is expected.')
      const message = 'An empty document follows; it is left out.'
      if (others.length > 0) issues.push({ severity: 'warning', code: 'yaml_syntax', pointer: '', message })
      return first
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause
      const words = firstLine(cause)
      if (/^(?:nesting|aliases) exceeded/.test(words))
        throw new GatewayError('over_limit', { words: `The description exceeds a limit of YAML: ${words}`, cause })
      const mended = mends < limits.yamlMends ? source.mend(words) : undefined
      if (mended === undefined) throw refuse(`The description is not valid YAML: ${words}`, cause)
      issues.push({ severity: 'warning', pointer: '', ...mended })
    }
  }
}

/** What was done for a line. */
type Remark = Pick<Issue, 'code' | 'message'>

/** The first line of an error's message, bounded. */
export const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]?.slice(0, 200) ?? ''

/** Control characters that YAML does not take (YAML 1.2.2 §5.1), less NUL. */
// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f]/g

class Source {
  readonly #lines: string[]
  readonly #indented = new Set<number>()
  #text: string

  constructor(text: string) {
    this.#text = text
    this.#lines = text.split('\n')
  }

  get text(): string {
    return this.#text
  }

  /** Mends what js-yaml's words name; `undefined` where nothing is sure to help. */
  mend(words: string): Remark | undefined {
    const place = /^(.*) \((\d+):(\d+)\)$/.exec(words)
    const [, fault = '', line = '', column = ''] = place ?? []
    const index = Number(line) - 1
    const before = this.#lines[index]
    if (place === null || before === undefined) return undefined
    if (fault === 'the stream contains non-printable characters' || fault === 'expected valid JSON character')
      return this.#strip(Number(line))
    const after = mendLine(fault, before, Number(column) - 1)
    if (after !== undefined) {
      this.#lines[index] = after.text
      this.#text = this.#lines.join('\n')
      return { code: 'yaml_syntax', message: `Line ${line}: ${after.words}` }
    }
    return fault === 'deficient indentation' ? this.#indent(index) : undefined
  }

  #strip(line: number): Remark | undefined {
    const stripped = this.#lines.map((text) => text.replace(unprintable, ''))
    if (stripped.every((text, index) => text === this.#lines[index])) return undefined
    this.#lines.splice(0, this.#lines.length, ...stripped)
    this.#text = stripped.join('\n')
    const message = `Line ${line}: control characters, which YAML does not take, are left out.`
    return { code: 'yaml_syntax', message }
  }

  /**
   * A line inside a quoted scalar or a flow collection that is set back too far is an error of YAML 1.2 that many tools
   * let pass, and white space at its beginning means nothing.
   */
  #indent(index: number): Remark | undefined {
    if (this.#indented.has(index)) return undefined
    this.#indented.add(index)
    this.#lines[index] = `${' '.repeat(256)}${this.#lines[index] ?? ''}`
    this.#text = this.#lines.join('\n')
    const message = `Line ${index + 1} is set back too far for YAML; it is read as if it were not.`
    return { code: 'yaml_indentation', message }
  }
}

interface Mended {
  readonly text: string
  readonly words: string
}

/** A line with the fault at a column, from 0, written as its author meant it. */
function mendLine(fault: string, line: string, column: number): Mended | undefined {
  const head = line.slice(0, column)
  const rest = line.slice(column)
  // Tags of a language’s own objects are left as they are: nobody means a text by them.
  if (/^unknown (?:scalar|sequence|mapping) tag (?!.*2002:\w+\/)/.test(fault)) {
    const tag = /^!(?:<[^>]*>|[^\s,[\]{}]*)/.exec(rest)?.[0]
    return tag === undefined
      ? undefined
      : { text: head + ' '.repeat(tag.length) + rest.slice(tag.length), words: 'an unknown tag is passed over.' }
  }
  if (fault === 'unknown escape sequence')
    return head.endsWith('\\') ? { text: `${head}\\${rest}`, words: 'a backslash is taken for itself.' } : undefined
  if (fault === 'bad indentation of a mapping entry') {
    const [, value, end = ''] = /^([@`].*?)(\s+#.*|\s*)$/.exec(rest) ?? []
    if (value === undefined || !/(?::|-)[ \t]+$/.test(head)) return undefined
    return { text: `${head}'${value.replaceAll("'", "''")}'${end}`, words: 'a text that YAML reserves is quoted.' }
  }
  if (fault !== 'deficient indentation') return undefined
  const text = line.replace(/([:-])[ \t]*\t[ \t]*(?=[{[])/, '$1 ')
  return text === line ? undefined : { text, words: 'a tab is taken for a space.' }
}
