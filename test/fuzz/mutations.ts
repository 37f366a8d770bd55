/** Ways to spoil a description: any node replaced, dropped, moved or made to refer to any other. */
import * as fc from 'fast-check'
import type { Tree } from './seeds.ts'

interface Spot {
  readonly parent: Tree[] | { [key: string]: Tree }
  readonly key: string
  readonly pointer: string
}

const isTree = (value: Tree | undefined): value is Tree[] | { [key: string]: Tree } =>
  typeof value === 'object' && value !== null

const childOf = (parent: Tree[] | { [key: string]: Tree }, key: string): Tree | undefined =>
  Array.isArray(parent) ? parent[Number(key)] : parent[key]

function spotsOf(root: Tree): Spot[] {
  const spots: Spot[] = []
  const visit = (node: Tree | undefined, pointer: string): void => {
    if (!isTree(node)) return
    for (const key of Object.keys(node)) {
      const below = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
      spots.push({ parent: node, key, pointer: below })
      visit(childOf(node, key), below)
    }
  }
  visit(root, '#')
  return spots
}

function put({ parent, key }: Spot, value: Tree): void {
  if (Array.isArray(parent)) parent[Number(key)] = value
  else Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true })
}

const keywords = [
  '$ref',
  '$dynamicRef',
  'type',
  'properties',
  'items',
  'prefixItems',
  'allOf',
  'oneOf',
  'anyOf',
  'not',
  'required',
  'enum',
  'const',
  'default',
  'nullable',
  'readOnly',
  'writeOnly',
  'additionalProperties',
  'patternProperties',
  'pattern',
  'minimum',
  'exclusiveMinimum',
  'multipleOf',
  'format',
  'description',
  'schema',
  'content',
  'in',
  'name',
  'style',
  'explode',
  'parameters',
  'requestBody',
  'operationId',
  'servers',
  'responses',
  '__proto__',
  'constructor',
  'x-mcp-header',
  '$id',
  '$anchor',
  '$schema',
  'unevaluatedProperties',
  'if',
  'then',
  'dependentSchemas',
]

const scrap: fc.Arbitrary<Tree> = fc.oneof(
  fc.constantFrom<Tree>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e308,
    '',
    ' ',
    'string',
    'object',
    'array',
    ['string', 'null'],
    [],
    {},
    [[]],
    [null],
    '(',
    '^(a+)+$',
    '#',
    '#/',
    '#/gone',
    'file:///etc/passwd',
    '__proto__',
    '..',
    '{',
    '/{a}{a}',
    'path',
    'query',
    'header',
    'body',
    'formData',
    'date',
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc
    .nat(30)
    .map((depth) =>
      Array.from({ length: depth }).reduce<Tree>((inner) => ({ properties: { a: inner }, type: 'object' }), {}),
    ),
)

type Step = readonly [kind: number, at: number, other: number, keyword: string, value: Tree]

const step: fc.Arbitrary<Step> = fc.tuple(fc.nat(7), fc.nat(), fc.nat(), fc.constantFrom(...keywords), scrap)

function apply(root: Tree, [kind, where, other, keyword, value]: Step): void {
  const spots = spotsOf(root)
  const spot = spots[where % spots.length]
  const far = spots[other % spots.length]
  if (spot === undefined || far === undefined) return
  const child = childOf(spot.parent, spot.key)
  switch (kind) {
    case 0:
      return put(spot, value)
    case 1:
      if (Array.isArray(spot.parent)) spot.parent.splice(Number(spot.key), 1)
      else delete spot.parent[spot.key]
      return
    case 2:
      return put(spot, { $ref: far.pointer })
    case 3:
      return put(spot, structuredClone(childOf(far.parent, far.key) ?? null))
    case 4:
      return put(spot, { [keyword]: child ?? null })
    case 5:
      if (isTree(child) && !Array.isArray(child))
        put({ parent: child, key: keyword, pointer: '' }, keyword === '$ref' || other % 2 === 0 ? far.pointer : value)
      return
    case 6:
      return put(spot, { [other % 2 === 0 ? 'allOf' : 'oneOf']: [{ $ref: spot.pointer }] })
    default:
      if (isTree(child) && !Array.isArray(child))
        put({ parent: child, key: keyword, pointer: '' }, [{ $ref: far.pointer }, { $ref: spot.pointer }])
  }
}

/** A function that spoils a copy of a document in up to five places. */
export const mutations: fc.Arbitrary<(document: Tree) => Tree> = fc
  .array(step, { minLength: 1, maxLength: 5 })
  .map((steps) => {
    const mutate = (document: Tree): Tree => {
      const copy = structuredClone(document)
      for (const one of steps) apply(copy, one)
      return copy
    }
    return Object.assign(mutate, { [fc.toStringMethod]: () => JSON.stringify(steps) })
  })
