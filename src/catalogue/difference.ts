/** What changed from one catalogue to another, and what of it breaks a caller who goes by the older one. */
import { type SchemaChange, type Effect } from './schema-change.ts'
import { schemaDifference } from './schema-difference.ts'
import { canonical } from './schema-walk.ts'
import type { ToolDefinition } from './tool.ts'

interface Change {
  /** JSON Pointer into the newer definition; into the older one for what is gone. */
  readonly pointer: string
  readonly kind: string
  /** Arguments that were taken are refused, or answers come that were not promised. */
  readonly breaking: boolean
  readonly message: string
}

interface ToolChange {
  readonly tool: string
  readonly breaking: boolean
  readonly changes: readonly Change[]
}

/** By name, in the order of names: a tool of another name is one removed and one added. */
export interface Difference {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly ToolChange[]
}

/**
 * Compares two catalogues. An argument breaks when less is taken than before, an answer when it may be more than was
 * promised. Members beyond those that an open object names are held for unsent: one that it gains breaks nothing.
 */
export function difference(before: readonly ToolDefinition[], after: readonly ToolDefinition[]): Difference {
  const old = new Map(before.map((tool) => [tool.name, tool]))
  const now = new Map(after.map((tool) => [tool.name, tool]))
  const names = [...new Set([...old.keys(), ...now.keys()])].sort()
  const changed: ToolChange[] = []
  for (const name of names) {
    const [was, is] = [old.get(name), now.get(name)]
    if (was === undefined || is === undefined) continue
    const changes = toolChanges(was, is)
    if (changes.length > 0) changed.push({ tool: name, breaking: changes.some(({ breaking }) => breaking), changes })
  }
  return {
    added: names.filter((name) => !old.has(name)),
    removed: names.filter((name) => !now.has(name)),
    changed,
  }
}

function toolChanges(before: ToolDefinition, after: ToolDefinition): Change[] {
  return [...wordChanges(before, after), ...inputChanges(before, after), ...outputChanges(before, after)]
}

function wordChanges(before: ToolDefinition, after: ToolDefinition): Change[] {
  const changed = (part: string, message: string): Change => ({
    pointer: `/${part}`,
    kind: part,
    breaking: false,
    message,
  })
  const { title: oldTitle, ...oldHints } = before.annotations
  const { title: newTitle, ...newHints } = after.annotations
  const hints = Object.entries(newHints).filter(
    ([hint, value]) => canonical(value) !== canonical(member(oldHints, hint)),
  )
  const gone = Object.keys(oldHints).filter((hint) => !Object.hasOwn(newHints, hint))
  const told = [
    ...hints.map(([hint, value]) => `\`${hint}\` is ${String(value)}`),
    ...gone.map((hint) => `\`${hint}\` is gone`),
  ]
  return [
    ...(before.description === after.description ? [] : [changed('description', 'The description changed.')]),
    ...(before.title === after.title && oldTitle === newTitle ? [] : [changed('title', 'The title changed.')]),
    ...(told.length === 0 ? [] : [changed('annotations', `${told.join(', ')}.`)]),
  ]
}

const member = (map: { readonly [key: string]: unknown }, key: string): unknown =>
  Object.hasOwn(map, key) ? map[key] : undefined

const breaksWhen =
  (...effects: readonly Effect[]) =>
  ({ pointer, kind, effect, message }: SchemaChange): Change => ({
    pointer,
    kind,
    breaking: effects.includes(effect),
    message,
  })

function inputChanges({ inputSchema: before }: ToolDefinition, { inputSchema: after }: ToolDefinition): Change[] {
  if (canonical(before) === canonical(after)) return []
  const pointer = '/inputSchema'
  const found = schemaDifference({ schema: before, pointer }, { schema: after, pointer })
  return orRewritten(found.map(breaksWhen('narrows', 'both')), pointer)
}

function outputChanges({ outputSchema: before }: ToolDefinition, { outputSchema: after }: ToolDefinition): Change[] {
  const pointer = '/outputSchema'
  if (before === undefined && after === undefined) return []
  if (before === undefined)
    return [{ pointer, kind: 'output', breaking: false, message: 'The shape of the answer is told now.' }]
  if (after === undefined)
    return [{ pointer, kind: 'output', breaking: true, message: 'The shape of the answer is no longer told.' }]
  if (canonical(before) === canonical(after)) return []
  const found = schemaDifference({ schema: before, pointer }, { schema: after, pointer })
  return orRewritten(found.map(breaksWhen('widens', 'both')), pointer)
}

/** A schema that is written otherwise and means the same has changed too: whoever approves definitions wants to know. */
const orRewritten = (changes: Change[], pointer: string): Change[] =>
  changes.length > 0
    ? changes
    : [{ pointer, kind: 'rewritten', breaking: false, message: 'The schema is written otherwise and takes the same.' }]
