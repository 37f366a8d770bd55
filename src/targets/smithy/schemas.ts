/**
 * Shapes → OpenAPI 3.1 schemas, in two directions. What is sent is held to the model's constraints; what comes back is
 * told by its types alone: a service may return values that the model does not list yet, leave members out, or send
 * null for one that it has not (Smithy 2.0 §Constraint traits, §Client error correction).
 */
import { isNode, member as own } from '../openapi/tree.ts'
import type { Member, Model, Shape, Traits } from './model.ts'
import { deprecation, plainProse } from './prose.ts'

export type Direction = 'input' | 'output'

/** Where a value stands: it decides how a timestamp is written (restJson1, §Protocol behaviors). */
export type Where = 'body' | 'query' | 'path' | 'header'

type Schema = { [keyword: string]: unknown }

/** A schema is at least its object, its type, its name and what holds it. */
const nodesOfMember = 4

const integers = new Set(['byte', 'short', 'integer', 'long', 'bigInteger', 'intEnum'])
const numbers = new Set(['float', 'double', 'bigDecimal'])
const aggregates = new Set(['structure', 'union', 'list', 'set', 'map'])

export const isAggregate = (shape: Shape): boolean => aggregates.has(shape.type)

export class ShapeSchemas {
  readonly #model: Model
  readonly #direction: Direction
  /** The pointer, as a reference, under which the schemas are kept. */
  readonly #base: string
  readonly #names = new Map<string, string>()
  readonly #taken = new Set<string>()
  readonly #open: string[] = []

  constructor(model: Model, direction: Direction, base: string) {
    this.#model = model
    this.#direction = direction
    this.#base = base
  }

  /** The schema of a member where it stands. */
  member({ target, traits }: Member, where: Where): Schema {
    this.#model.spend(nodesOfMember)
    const shape = this.#model.shape(target)
    if (shape === undefined) return this.#told(traits, {})
    const listed = shape.type === 'list' || shape.type === 'set'
    if (where !== 'body' && (listed || shape.type === 'map'))
      return this.#told(traits, this.#flat(shape, traits, where))
    if (!isAggregate(shape) && (this.#direction === 'output' || enumValues(shape, traits) === undefined))
      return this.#told(traits, this.#simple(shape, new Map([...shape.traits, ...traits]), where), shape)
    const schema: Schema = { $ref: `${this.#base}/${this.#nameOf(shape.id)}` }
    // What the member's own traits say of a list or map goes beside the reference.
    if (this.#direction === 'input') Object.assign(schema, bounds(listed ? 'list' : shape.type, traits))
    return this.#told(traits, schema)
  }

  /** An object of these members. */
  object(members: Iterable<Member>): Schema {
    const properties = new Map<string, unknown>()
    const required: string[] = []
    for (const member of members) {
      const name = wireName(member)
      const schema = this.member(member, 'body')
      // A service writes null for what it has not, and clients read it as absent.
      properties.set(name, this.#direction === 'output' ? { ...schema, nullable: true } : schema)
      if (isRequired(member)) required.push(name)
    }
    return {
      type: 'object',
      properties: Object.fromEntries(properties),
      ...(this.#direction === 'output' ? {} : { required, additionalProperties: false }),
    }
  }

  /** Every schema that was referred to, by its name, with the shape that it is of. */
  *all(): Generator<{ name: string; id: string; schema: Schema }> {
    // It grows on the way.
    for (const id of this.#open) {
      const shape = this.#model.shape(id)
      if (shape !== undefined) yield { name: this.#nameOf(id), id, schema: this.#definition(shape) }
    }
  }

  #nameOf(id: string): string {
    const known = this.#names.get(id)
    if (known !== undefined) return known
    const short = id.slice(id.indexOf('#') + 1).replace(/[^\w.-]/g, '_')
    const full = id.replace(/[^\w.-]/g, '_')
    const suffix = this.#direction === 'output' ? '_output' : ''
    const wishes = [`${short}${suffix}`, `${full}${suffix}`]
    const name = wishes.find((wish) => !this.#taken.has(wish)) ?? `${short}_${this.#names.size}${suffix}`
    this.#names.set(id, name)
    this.#taken.add(name)
    this.#open.push(id)
    return name
  }

  #definition(shape: Shape): Schema {
    return this.#told(shape.traits, this.#body(shape))
  }

  #body(shape: Shape): Schema {
    const limitsOf = this.#direction === 'input' ? bounds(shape.type, shape.traits) : {}
    switch (shape.type) {
      case 'structure':
        return this.object(shape.members.values())
      case 'union':
        return this.#union(shape)
      case 'list':
      case 'set':
        return { type: 'array', items: this.#entry(shape, 'member', 'body'), ...limitsOf }
      case 'map':
        return { type: 'object', additionalProperties: this.#entry(shape, 'value', 'body'), ...limitsOf }
      default:
        return this.#simple(shape, shape.traits, 'body')
    }
  }

  /** One member, whose name is the tag. An answer may have a tag that the model has not yet. */
  #union(shape: Shape): Schema {
    const members = [...shape.members.values()]
    if (this.#direction === 'output') return this.object(members)
    return {
      oneOf: members.map((member) => ({
        type: 'object',
        properties: Object.fromEntries([[wireName(member), this.member(member, 'body')]]),
        required: [wireName(member)],
        additionalProperties: false,
      })),
    }
  }

  #entry(shape: Shape, name: 'member' | 'value', where: Where): Schema {
    const member = shape.members.get(name)
    if (member === undefined) return {}
    const schema = this.member(member, where)
    return this.#direction === 'output' || shape.traits.has('smithy.api#sparse')
      ? { ...schema, nullable: true }
      : schema
  }

  /** A list or map outside the body: of scalars, or of lists of them. */
  #flat(shape: Shape, traits: Traits, where: Where): Schema {
    const name = shape.type === 'map' ? 'value' : 'member'
    const member = shape.members.get(name)
    const inner = member === undefined ? undefined : this.#model.shape(member.target)
    const isScalar = inner !== undefined && !isAggregate(inner)
    const isList = shape.type === 'map' && (inner?.type === 'list' || inner?.type === 'set')
    const item = member === undefined || !(isScalar || isList) ? { type: 'string' } : this.#scalars(member, where)
    const more = this.#direction === 'input' ? bounds(shape.type, new Map([...shape.traits, ...traits])) : {}
    return shape.type === 'map'
      ? { type: 'object', additionalProperties: item, ...more }
      : { type: 'array', items: item, ...more }
  }

  #scalars(member: Member, where: Where): Schema {
    const shape = this.#model.shape(member.target)
    const nested = shape?.members.get('member')
    if (shape === undefined || !isAggregate(shape)) return this.member(member, where)
    const inner = nested === undefined ? undefined : this.#model.shape(nested.target)
    return {
      type: 'array',
      items:
        nested === undefined || inner === undefined || isAggregate(inner)
          ? { type: 'string' }
          : this.member(nested, where),
    }
  }

  #simple(shape: Shape, traits: Traits, where: Where): Schema {
    const isInput = this.#direction === 'input'
    const more = isInput ? bounds(shape.type, traits) : {}
    if (shape.type === 'boolean') return { type: 'boolean' }
    if (shape.type === 'timestamp') return timestamp(traits, where)
    if (shape.type === 'document') return {}
    if (shape.type === 'blob' || (where === 'header' && traits.has('smithy.api#mediaType')))
      return encoded(shape, traits)
    const values = isInput ? enumValues(shape, traits) : undefined
    if (values !== undefined) this.#model.spend(values.length)
    const type = integers.has(shape.type) ? 'integer' : numbers.has(shape.type) ? 'number' : 'string'
    const hidden = type === 'string' && isInput && traits.has('smithy.api#sensitive') ? { format: 'password' } : {}
    return { type, ...hidden, ...(values === undefined ? more : { enum: values }) }
  }

  /** What the traits say to a reader, and the default that the service takes. */
  #told(traits: Traits, schema: Schema, shape?: Shape): Schema {
    const told = plainProse(traits.get('smithy.api#documentation') ?? shape?.traits.get('smithy.api#documentation'))
    const retired = deprecation(traits.get('smithy.api#deprecated'))
    const words = [retired, told, schema['description']].filter((text) => typeof text === 'string').join('\n\n')
    this.#model.spend(words.length / 10)
    const preset = traits.get('smithy.api#default') ?? shape?.traits.get('smithy.api#default')
    return {
      ...schema,
      ...(words === '' ? {} : { description: words }),
      ...(traits.has('smithy.api#deprecated') ? { deprecated: true } : {}),
      ...(this.#direction === 'output' || preset === undefined || preset === null || typeof preset === 'object'
        ? {}
        : { default: preset }),
    }
  }
}

/** `jsonName` is the name in a body; elsewhere the binding has one. */
export const wireName = ({ name, traits }: Member): string => {
  const json = traits.get('smithy.api#jsonName')
  return typeof json === 'string' ? json : name
}

/** A token that is left out is filled (§idempotencyToken), so that no caller has to think of one. */
export const isRequired = ({ traits }: Member): boolean =>
  traits.has('smithy.api#required') && !traits.has('smithy.api#idempotencyToken')

/** Of an enum shape (2.0), or of a string with the enum trait (1.0). */
function enumValues(shape: Shape, traits: Traits): unknown[] | undefined {
  if (shape.type === 'enum' || shape.type === 'intEnum')
    return [...shape.members.values()].map(({ name, traits: of }) => of.get('smithy.api#enumValue') ?? name)
  const trait = traits.get('smithy.api#enum') ?? shape.traits.get('smithy.api#enum')
  if (!Array.isArray(trait)) return undefined
  const values = trait.flatMap((entry) => (isNode(entry) && Object.hasOwn(entry, 'value') ? [entry['value']] : []))
  return values.length === 0 ? undefined : values
}

/** `length`, `range`, `pattern` and `uniqueItems`. The length of a blob is of its bytes, which no schema counts. */
function bounds(type: string, traits: Traits): Schema {
  const length = traits.get('smithy.api#length')
  const range = traits.get('smithy.api#range')
  const pattern = traits.get('smithy.api#pattern')
  const [least, most] =
    type === 'map'
      ? ['minProperties', 'maxProperties']
      : isList(type)
        ? ['minItems', 'maxItems']
        : ['minLength', 'maxLength']
  const out: Schema = {}
  const put = (keyword: string, value: unknown): void => {
    if (typeof value === 'number') out[keyword] = value
  }
  if (type === 'string' || type === 'map' || isList(type)) {
    put(least, own(length, 'min'))
    put(most, own(length, 'max'))
  }
  if (integers.has(type) || numbers.has(type)) {
    put('minimum', own(range, 'min'))
    put('maximum', own(range, 'max'))
  }
  if (type === 'string' && typeof pattern === 'string') out['pattern'] = pattern
  if (type === 'set' || (type === 'list' && traits.has('smithy.api#uniqueItems'))) out['uniqueItems'] = true
  return out
}

const isList = (type: string): boolean => type === 'list' || type === 'set'

function encoded(shape: Shape, traits: Traits): Schema {
  const type = traits.get('smithy.api#mediaType')
  const media = typeof type === 'string' ? { contentMediaType: type } : {}
  // A text under a media type is encoded on the way (restJson1, §httpHeader): the caller writes the text itself.
  return shape.type === 'blob' ? { type: 'string', contentEncoding: 'base64', ...media } : { type: 'string', ...media }
}

const presets: Record<Where, string> = {
  body: 'epoch-seconds',
  query: 'date-time',
  path: 'date-time',
  header: 'http-date',
}

function timestamp(traits: Traits, where: Where): Schema {
  const named = traits.get('smithy.api#timestampFormat')
  switch (typeof named === 'string' ? named : presets[where]) {
    case 'date-time':
      return { type: 'string', format: 'date-time' }
    case 'http-date':
      return { type: 'string', description: 'A date of HTTP, such as `Tue, 29 Apr 2014 18:30:38 GMT`.' }
    default:
      return { type: 'number', description: 'Seconds since 1970-01-01T00:00:00Z.' }
  }
}

/** Whether a header's list is written with quotes around what holds a comma (RFC 9110 §5.6.4). */
export const isTextList = (shape: Shape, model: Model): boolean => {
  const inner = shape.members.get('member')
  const type = inner === undefined ? undefined : model.shape(inner.target)?.type
  return isList(shape.type) && (type === 'string' || type === 'enum')
}
