/**
 * Arguments that the operator settles: fixed values that callers do not see, and presets where they say nothing. Made at
 * import into a schema without what is fixed, and applied at each call after the caller's own arguments were checked.
 */
import type { Json, JsonSchema, Presets } from '../core/model.ts'

/** What the configuration says of one argument, or of a member of one (`/body/account`). */
export interface ArgumentRule {
  readonly description?: string | undefined
  /** Shown as the schema's `default` and sent when the caller leaves the argument out. */
  readonly default?: Json | undefined
  /** Always sent; callers do not see the argument. */
  readonly value?: Json | undefined
}

type Mutable = { [keyword: string]: unknown }

/** The schema as callers see it, what is sent besides, and the rules that name nothing. */
export function shapeArguments(
  input: JsonSchema,
  rules: ReadonlyMap<string, ArgumentRule>,
): { readonly input: JsonSchema; readonly presets: Presets | undefined; readonly unknown: readonly string[] } {
  const root: Mutable = { ...input }
  const fixed: [string, Json][] = []
  const defaults: [string, Json][] = []
  const unknown: string[] = []
  for (const [name, rule] of rules) {
    const tokens = tokensOf(name)
    const parent = parentOf(root, tokens)
    const last = tokens.at(-1)
    if (parent === undefined || last === undefined || !settle(parent, last, rule)) {
      unknown.push(name)
      continue
    }
    const pointer = `/${tokens.map((token) => token.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`
    if (rule.value !== undefined) fixed.push([pointer, rule.value])
    else if (rule.default !== undefined) defaults.push([pointer, rule.default])
  }
  const presets = fixed.length + defaults.length === 0 ? undefined : { fixed, defaults }
  return { input: root, presets, unknown }
}

/** An argument by its name, or a member by JSON Pointer. */
const tokensOf = (name: string): string[] =>
  name.startsWith('/')
    ? name
        .slice(1)
        .split('/')
        .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
    : [name]

/** The schema that holds the member, each on the way to it a copy of its own, a reference spelled out. */
function parentOf(root: Mutable, tokens: readonly string[]): Mutable | undefined {
  let node: Mutable | undefined = root
  for (const token of tokens.slice(0, -1)) {
    const properties = own(node)
    const child = properties === undefined ? undefined : member(properties, token)
    const spelled = child === undefined ? undefined : spellOut(child, root)
    if (properties === undefined || spelled === undefined) return undefined
    properties[token] = spelled
    node = spelled
  }
  return node
}

/** The schema's `properties`, copied so that no other tool's schema changes with it. */
function own(schema: Mutable): Mutable | undefined {
  const properties = schema['properties']
  if (!isObject(properties)) return undefined
  const copy = { ...properties }
  schema['properties'] = copy
  return copy
}

function spellOut(schema: Mutable, root: Mutable): Mutable | undefined {
  const ref = schema['$ref']
  if (typeof ref !== 'string') return { ...schema }
  const definitions = root['$defs']
  const { $ref: _ref, ...beside } = schema
  const target = isObject(definitions) ? member(definitions, ref.replace(/^#\/\$defs\//, '')) : undefined
  return target === undefined ? undefined : { ...target, ...beside }
}

function settle(parent: Mutable, name: string, rule: ArgumentRule): boolean {
  const properties = own(parent)
  const schema = properties === undefined ? undefined : member(properties, name)
  if (properties === undefined || schema === undefined) return false
  const hidden = rule.value !== undefined
  if (hidden) delete properties[name]
  else
    properties[name] = {
      ...schema,
      ...(rule.description === undefined ? {} : { description: rule.description }),
      ...(rule.default === undefined ? {} : { default: rule.default }),
    }
  const required = parent['required']
  if (Array.isArray(required) && (hidden || rule.default !== undefined)) {
    const left = required.filter((each) => each !== name)
    if (left.length === 0) delete parent['required']
    else parent['required'] = left
  }
  return true
}

const isObject = (value: unknown): value is Mutable =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const member = (node: Mutable, name: string): Mutable | undefined => {
  const value = Object.hasOwn(node, name) ? node[name] : undefined
  return isObject(value) ? value : undefined
}

/** The arguments with what the operator settled; the caller's own object is left as it is. */
export function applyPresets(args: { readonly [name: string]: Json }, presets: Presets): { [name: string]: Json } {
  const out: { [name: string]: Json } = { ...args }
  for (const [pointer, value] of presets.defaults) put(out, tokensOf(pointer), value, false)
  for (const [pointer, value] of presets.fixed) put(out, tokensOf(pointer), value, true)
  return out
}

/** A preset inside an argument that the caller left out makes that argument only when it is fixed. */
function put(root: { [name: string]: Json }, tokens: readonly string[], value: Json, always: boolean): void {
  let node = root
  for (const token of tokens.slice(0, -1)) {
    const child = Object.hasOwn(node, token) ? node[token] : undefined
    if (child === undefined && !always) return
    if (child !== undefined && (typeof child !== 'object' || child === null || Array.isArray(child))) return
    const copy: { [name: string]: Json } = { ...child }
    node[token] = copy
    node = copy
  }
  const last = tokens.at(-1)
  if (last !== undefined && (always || !Object.hasOwn(node, last))) node[last] = value
}
