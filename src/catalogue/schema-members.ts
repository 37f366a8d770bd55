/** Compares what an object's members and a list's items may be. */
import { type Comparing, type Effect, joined, type Mode, nameAt } from './schema-change.ts'
import { below, isNever, isOpen, type Place, toNode } from './schema-facts.ts'
import { isSchemaNode, pointerTo, type SchemaNode } from './schema-walk.ts'

export function members(comparing: Comparing, before: Place, after: Place, mode: Mode): void {
  const [b, a] = [before.schema, after.schema]
  const [old, now] = [namesOf(b['properties']), namesOf(a['properties'])]
  const [oldPatterns, nowPatterns] = [namesOf(b['patternProperties']), namesOf(a['patternProperties'])]
  const anyPattern = oldPatterns.size + nowPatterns.size > 0
  if (anyPattern && !(sameNames(oldPatterns, nowPatterns) && sameNames(old, now)))
    comparing.report(
      mode,
      after.pointer,
      'schema',
      'both',
      `${nameAt(after.pointer)}: patterns of names now share the members otherwise.`,
    )
  for (const name of nowPatterns)
    if (oldPatterns.has(name))
      comparing.compare(below(before, 'patternProperties', name), below(after, 'patternProperties', name), mode)
  for (const name of now) {
    if (old.has(name)) comparing.compare(below(before, 'properties', name), below(after, 'properties', name), mode)
    else added(comparing, before, after, name, mode)
  }
  for (const name of old) if (!now.has(name)) removed(comparing, before, after, name, mode)
  for (const name of listedNames(a)) {
    if (listedNames(b).has(name) || (now.has(name) && !old.has(name))) continue
    comparing.report(
      mode,
      pointerTo(after.pointer, 'properties', name),
      'required',
      'narrows',
      `${nameAt(after.pointer, name)} is required now.`,
    )
  }
  for (const name of listedNames(b)) {
    if (listedNames(a).has(name) || (old.has(name) && !now.has(name))) continue
    comparing.report(
      mode,
      pointerTo(after.pointer, 'properties', name),
      'optional',
      'widens',
      `${nameAt(after.pointer, name)} is no longer required.`,
    )
  }
  others(comparing, before, after, mode)
  if (b['propertyNames'] !== undefined || a['propertyNames'] !== undefined)
    comparing.compare(below(before, 'propertyNames'), below(after, 'propertyNames'), mode)
}

function added(comparing: Comparing, before: Place, after: Place, name: string, mode: Mode): void {
  const pointer = pointerTo(after.pointer, 'properties', name)
  const own: Place = below(after, 'properties', name)
  const rest = toNode(before.schema['additionalProperties'])
  const isRequired = listedNames(after.schema).has(name) && !listedNames(before.schema).has(name)
  const gain: Effect = isNever(rest)
    ? 'widens'
    : isOpen(rest) && (!mode.alone || isNever(own.schema)) && !isOpen(own.schema)
      ? 'narrows'
      : 'none'
  const effect = isRequired ? joined(gain, 'narrows') : gain
  comparing.report(
    mode,
    pointer,
    isRequired ? 'required' : 'added',
    effect,
    `${nameAt(after.pointer, name)} is new${isRequired ? ' and required' : ''}.`,
  )
  if (!isNever(rest) && !isOpen(rest)) comparing.compare(below(before, 'additionalProperties'), own, mode)
}

function removed(comparing: Comparing, before: Place, after: Place, name: string, mode: Mode): void {
  const pointer = pointerTo(before.pointer, 'properties', name)
  const own: Place = below(before, 'properties', name)
  const rest = toNode(after.schema['additionalProperties'])
  const loss: Effect = isNever(rest)
    ? isNever(own.schema)
      ? 'none'
      : 'narrows'
    : isOpen(rest) && !isOpen(own.schema)
      ? 'widens'
      : 'none'
  const wasRequired = listedNames(before.schema).has(name)
  const isRequired = listedNames(after.schema).has(name)
  const effect =
    wasRequired && !isRequired ? joined(loss, 'widens') : !wasRequired && isRequired ? joined(loss, 'narrows') : loss
  comparing.report(
    mode,
    pointer,
    'removed',
    effect,
    `${nameAt(before.pointer, name)} is gone${isNever(rest) ? ' and refused' : ''}.`,
  )
  if (!isNever(rest) && !isOpen(rest)) comparing.compare(own, below(after, 'additionalProperties'), mode)
}

/** Members that no keyword names. */
function others(comparing: Comparing, before: Place, after: Place, mode: Mode): void {
  const [old, now] = [toNode(before.schema['additionalProperties']), toNode(after.schema['additionalProperties'])]
  const pointer = pointerTo(after.pointer, 'additionalProperties')
  if (isNever(now) && !isNever(old))
    comparing.report(mode, pointer, 'closed', 'narrows', `${nameAt(after.pointer)} takes no other members now.`)
  else if (isNever(old) && !isNever(now))
    comparing.report(mode, pointer, 'opened', 'widens', `${nameAt(after.pointer)} takes other members now.`)
  else if (!isNever(now))
    comparing.compare(below(before, 'additionalProperties'), below(after, 'additionalProperties'), mode)
}

export function items(comparing: Comparing, before: Place, after: Place, mode: Mode): void {
  const [old, now] = [before, after].map(({ schema }) =>
    Array.isArray(schema['prefixItems']) ? schema['prefixItems'].length : 0,
  )
  const item = ({ schema, pointer }: Place, index: number): Place => {
    const prefix: unknown[] = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : []
    return index < prefix.length
      ? { schema: toNode(prefix[index]), pointer: pointerTo(pointer, 'prefixItems', index) }
      : { schema: toNode(schema['items']), pointer: pointerTo(pointer, 'items') }
  }
  const last = Math.max(old ?? 0, now ?? 0)
  for (let index = 0; index <= last; index++) comparing.compare(item(before, index), item(after, index), mode)
}

const namesOf = (map: unknown): ReadonlySet<string> => new Set(isSchemaNode(map) ? Object.keys(map) : [])

const listedNames = ({ required }: SchemaNode): ReadonlySet<string> =>
  new Set(Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [])

const sameNames = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((name) => b.has(name))
