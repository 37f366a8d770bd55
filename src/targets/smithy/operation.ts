/** One operation with its HTTP bindings (Smithy 2.0 §HTTP bindings, restJson1) → an OpenAPI operation, and its recipe. */
import type { ImportOptions } from '../adapter.ts'
import { isJsonType, member as own, type Node, textAt } from '../openapi/tree.ts'
import type { Member, Model, Shape } from './model.ts'
import { deprecation, plainProse } from './prose.ts'
import { type Recipe, reservedHeaders } from './recipe.ts'
import { isAggregate, isRequired, isTextList, type ShapeSchemas, type Where, wireName } from './schemas.ts'

export interface Context {
  readonly model: Model
  readonly input: ShapeSchemas
  readonly output: ShapeSchemas
  readonly options: ImportOptions
  /** Shape IDs of operations that a resource calls its `delete`. */
  readonly deletes: ReadonlySet<string>
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What an OpenAPI document cannot say of an operation, until its binding is there. */
export interface Facts {
  readonly id: string
  /** Member → its name on the wire. */
  readonly wire: ReadonlyMap<string, string>
  /** Members that the recipe puts into the request, instead of a parameter of the document. */
  readonly spread: ReadonlySet<string>
  /** By names of members. */
  readonly recipe: Recipe
  readonly effect: 'read' | 'delete' | undefined
  readonly idempotent: boolean
  /** The answer is JSON, or nothing. */
  readonly json: boolean
  /** What stands before the service's host. */
  readonly hostPrefix: string | undefined
}

export interface Described {
  readonly method: string
  readonly path: string
  readonly operation: Node
  readonly facts: Facts
}

/** The operation; `undefined`, with a warning, where it has none that can be sent. */
export function describeOperation(id: string, context: Context): Described | undefined {
  const { model } = context
  const leaveOut = (why: string): undefined => {
    model.warn('unread_operation', id, `${id.slice(id.indexOf('#') + 1).slice(0, 200)} is left out: ${why}`)
  }
  const shape = model.shape(id)
  if (shape?.type !== 'operation') return leaveOut('the model has no operation of that name.')
  const http = shape.traits.get('smithy.api#http')
  const method = textAt(http, 'method')
  const uri = textAt(http, 'uri')
  if (method === undefined || uri === undefined) return leaveOut('it has no HTTP binding.')
  if (!/^(?:GET|PUT|POST|DELETE|OPTIONS|HEAD|PATCH|TRACE)$/i.test(method))
    return leaveOut('its HTTP method is unknown.')
  const input = membersOf(shape, 'input', model)
  const output = membersOf(shape, 'output', model)
  if (input === undefined || output === undefined) return leaveOut('its input or output is missing.')
  if ([...input, ...output].some(({ target }) => model.shape(target)?.traits.has('smithy.api#streaming') === true))
    return leaveOut('it streams, and only whole requests and answers are sent.')
  const hostPrefix = textAt(shape.traits.get('smithy.api#endpoint'), 'hostPrefix')
  if (hostPrefix !== undefined && !/^(?:[A-Za-z0-9-]{1,63}\.){0,9}[A-Za-z0-9-]{0,63}$/.test(hostPrefix))
    return leaveOut('an argument of it is a part of the host.')
  return build(shape, method, uri, { input, output, hostPrefix }, context)
}

const unit = 'smithy.api#Unit'

function membersOf(operation: Shape, side: 'input' | 'output', model: Model): readonly Member[] | undefined {
  const target = textAt(operation.node[side], 'target') ?? unit
  const shape = model.shape(target)
  return shape === undefined ? undefined : [...shape.members.values()]
}

interface Sides {
  readonly input: readonly Member[]
  readonly output: readonly Member[]
  readonly hostPrefix: string | undefined
}

function build(shape: Shape, method: string, uri: string, sides: Sides, context: Context): Described {
  const { traits, id } = shape
  const reader = new InputReader(uri, context, id)
  for (const member of sides.input) reader.read(member)
  const body = reader.body()
  const answer = responses(shape, sides.output, context)
  if (traits.has('smithy.api#httpChecksumRequired')) reader.recipe.digest = true
  const retired = deprecation(traits.get('smithy.api#deprecated'))
  const words = [retired, plainProse(traits.get('smithy.api#documentation'))].filter((text) => text !== undefined)
  const isRead = traits.has('smithy.api#readonly')
  return {
    method: method.toLowerCase(),
    path: uri.replace(/\{([^{}+]+)\+\}/g, '{$1}'),
    operation: {
      operationId: id.slice(id.indexOf('#') + 1),
      ...(words.length === 0 ? {} : { description: words.join('\n\n') }),
      ...(traits.has('smithy.api#deprecated') ? { deprecated: true } : {}),
      parameters: reader.parameters,
      ...(body === undefined ? {} : { requestBody: body }),
      responses: answer.responses,
    },
    facts: {
      id,
      wire: reader.wire,
      spread: reader.spread,
      recipe: reader.recipe,
      effect: isRead ? 'read' : context.deletes.has(id) ? 'delete' : undefined,
      idempotent: isRead || traits.has('smithy.api#idempotent'),
      json: answer.json,
      hostPrefix: sides.hostPrefix,
    },
  }
}

/** Input members, each to its place (restJson1: a member without a binding is one of the body). */
class InputReader {
  readonly parameters: Node[] = []
  readonly wire = new Map<string, string>()
  readonly spread = new Set<string>()
  readonly recipe: Mutable<Recipe> = {}
  readonly #labels: ReadonlyMap<string, boolean>
  readonly #literals: readonly string[]
  readonly #context: Context
  readonly #id: string
  readonly #members: Member[] = []
  readonly #queryNames: string[] = []
  readonly #headerNames: string[] = []
  #payload: Member | undefined

  constructor(uri: string, context: Context, id: string) {
    this.#context = context
    this.#id = id
    this.#labels = new Map([...uri.matchAll(/\{([^{}+]+)(\+?)\}/g)].map(([, name = '', plus]) => [name, plus === '+']))
    const [, literal = ''] = uri.split('?', 2)
    this.#literals = literal.split('&').map((pair) => pair.split('=', 1)[0] ?? '')
    const credential = context.options.credentialPlace
    if (credential?.in === 'query') this.#queryNames.push(credential.name)
    if (credential?.in === 'header') this.#headerNames.push(credential.name.toLowerCase())
  }

  read(member: Member): void {
    const { traits, name } = member
    const query = traits.get('smithy.api#httpQuery')
    const header = traits.get('smithy.api#httpHeader')
    const prefix = traits.get('smithy.api#httpPrefixHeaders')
    if (traits.has('smithy.api#httpLabel') && this.#labels.has(name)) this.#label(member)
    else if (typeof query === 'string') this.#query(member, query)
    else if (traits.has('smithy.api#httpQueryParams')) this.#queryMap(member)
    else if (typeof header === 'string') this.#header(member, header)
    else if (prefix !== undefined) this.#headerMap(member, textAt(prefix, 'value') ?? prefix)
    else if (traits.has('smithy.api#httpPayload')) this.#payload = member
    else this.#members.push(member)
  }

  #add(member: Member, place: Where, more: Node = {}): void {
    const { description, deprecated, ...schema } = this.#context.input.member(member, place)
    this.parameters.push({
      name: member.name,
      in: place,
      ...(place === 'path' || isRequired(member) ? { required: true } : {}),
      ...(description === undefined ? {} : { description }),
      ...(deprecated === undefined ? {} : { deprecated }),
      schema,
      ...more,
    })
    if (member.traits.has('smithy.api#idempotencyToken') && place !== 'path')
      this.recipe.tokens = [...(this.recipe.tokens ?? []), member.name]
  }

  #label(member: Member): void {
    this.#add(member, 'path')
    if (this.#labels.get(member.name) === true) this.recipe.greedy = [...(this.recipe.greedy ?? []), member.name]
  }

  #query(member: Member, name: string): void {
    if (this.#isCredential('query', name)) return
    this.#queryNames.push(name)
    this.wire.set(member.name, name)
    this.#add(member, 'query', { style: 'form', explode: true })
  }

  #queryMap(member: Member): void {
    this.spread.add(member.name)
    this.#add(member, 'query', { style: 'form', explode: true })
    this.recipe.query = { argument: member.name, taken: [] }
  }

  #header(member: Member, name: string): void {
    if (this.#isCredential('header', name)) return
    if (reservedHeaders.has(name.toLowerCase()) || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      this.#context.model.warn(
        'reserved_header',
        this.#id,
        `${member.name}: this header is the gateway’s own or not a header name; it is left out.`,
      )
      return
    }
    this.#headerNames.push(name.toLowerCase())
    this.wire.set(member.name, name)
    this.#add(member, 'header', { style: 'simple', explode: false })
    if (name.toLowerCase() === 'content-type') this.recipe.contentType = member.name
    const shape = this.#context.model.shape(member.target)
    if (shape === undefined) return
    const hasMedia = member.traits.has('smithy.api#mediaType') || shape.traits.has('smithy.api#mediaType')
    if (shape.type === 'string' && hasMedia) this.recipe.base64 = [...(this.recipe.base64 ?? []), member.name]
    if (isTextList(shape, this.#context.model)) this.recipe.quoted = [...(this.recipe.quoted ?? []), member.name]
  }

  #headerMap(member: Member, prefix: unknown): void {
    this.spread.add(member.name)
    this.#add(member, 'header', { style: 'simple', explode: false })
    const entry = { argument: member.name, prefix: typeof prefix === 'string' ? prefix : '', taken: [] }
    this.recipe.headers = [...(this.recipe.headers ?? []), entry]
  }

  #isCredential(place: 'query' | 'header', name: string): boolean {
    const credential = this.#context.options.credentialPlace
    const same = place === 'header' ? credential?.name.toLowerCase() === name.toLowerCase() : credential?.name === name
    if (credential?.in !== place || !same) return false
    this.#context.model.warn(
      'credential_parameter',
      this.#id,
      `The target’s credential fills \`${name}\`; it is no argument.`,
    )
    return true
  }

  /** The request body, and what the recipe has to know of it; to be called when every member is read. */
  body(): Node | undefined {
    if (this.recipe.query !== undefined)
      this.recipe.query = { ...this.recipe.query, taken: [...this.#queryNames, ...this.#literals] }
    if (this.recipe.headers !== undefined)
      this.recipe.headers = this.recipe.headers.map((entry) => ({ ...entry, taken: this.#headerNames }))
    const { input, model } = this.#context
    if (this.#payload !== undefined) {
      const { content, isObject } = payload(this.#payload, model, input)
      if (isObject) this.recipe.emptyBody = true
      return { required: isRequired(this.#payload), content }
    }
    if (this.#members.length === 0) return undefined
    const tokens = this.#members.filter(({ traits }) => traits.has('smithy.api#idempotencyToken')).map(wireName)
    if (tokens.length > 0) this.recipe.bodyTokens = tokens
    this.recipe.emptyBody = true
    const schema = input.object(this.#members)
    return { required: this.#members.some(isRequired), content: { 'application/json': { schema } } }
  }
}

interface Payload {
  readonly content: Node
  readonly isObject: boolean
  readonly isJson: boolean
}

/** `httpPayload`: a structure as JSON, a text as text, bytes as bytes, each under its media type. */
function payload(member: Member, model: Model, schemas: ShapeSchemas): Payload {
  const shape = model.shape(member.target)
  const named = member.traits.get('smithy.api#mediaType') ?? shape?.traits.get('smithy.api#mediaType')
  const media = typeof named === 'string' && /^[\w!#$&^.+-]+\/[\w!#$&^.+*;= -]+$/.test(named) ? named : undefined
  const schema = schemas.member(member, 'body')
  if (shape === undefined || isAggregate(shape) || shape.type === 'document') {
    const isObject = shape?.type === 'structure'
    return { content: { 'application/json': { schema } }, isObject, isJson: true }
  }
  // JSON under a name of bytes is written as the JSON that it is.
  if (media !== undefined && isJsonType(media))
    return { content: { [media]: { schema: {} } }, isObject: false, isJson: true }
  const { description } = schema
  const bytes = { type: 'string', format: 'binary', ...(description === undefined ? {} : { description }) }
  return shape.type === 'blob'
    ? { content: { [media ?? 'application/octet-stream']: { schema: bytes } }, isObject: false, isJson: false }
    : { content: { [media ?? 'text/plain']: { schema } }, isObject: false, isJson: false }
}

const outside = ['httpHeader', 'httpPrefixHeaders', 'httpResponseCode'].map((name) => `smithy.api#${name}`)

/** Success by its code, and every error by that of its shape (§httpError, §error). */
function responses(operation: Shape, members: readonly Member[], context: Context): { responses: Node; json: boolean } {
  const { model, output } = context
  const code = own(operation.traits.get('smithy.api#http'), 'code')
  const found = new Map<string, Node>()
  for (const id of operation.lists.get('errors') ?? []) {
    const error = model.shape(id)
    if (error === undefined) continue
    const status = error.traits.get('smithy.api#httpError')
    const preset = error.traits.get('smithy.api#error') === 'server' ? 500 : 400
    const key = String(typeof status === 'number' ? status : preset)
    const before = textAt(found.get(key), 'description')
    const name = id.slice(id.indexOf('#') + 1)
    model.spend(1)
    found.set(key, { description: before === undefined ? name : `${before}, ${name}`.slice(0, 1_000) })
  }
  const body = members.filter(({ traits }) => outside.every((name) => !traits.has(name)))
  const only = body.find(({ traits }) => traits.has('smithy.api#httpPayload'))
  const answer = only === undefined ? undefined : payload(only, model, output)
  const content =
    answer?.content ?? (body.length === 0 ? undefined : { 'application/json': { schema: output.object(body) } })
  const status = typeof code === 'number' && code >= 200 && code < 300 ? code : 200
  found.set(String(status), { description: '', ...(content === undefined ? {} : { content }) })
  return { responses: Object.fromEntries(found), json: answer?.isJson ?? true }
}
