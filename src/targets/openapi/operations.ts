/** Document → operations. What cannot be imported is skipped alone, with an issue that names it and the reason. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Effect, Json, Operation } from '../../core/model.ts'
import type { ImportOptions, Issue } from '../adapter.ts'
import { Assembler } from './assemble.ts'
import { type Binding, bodyArgument } from './binding.ts'
import { type Body, requestBody, swaggerBody } from './body.ts'
import { describe, tagsOf, titleOf } from './describe.ts'
import type { Document } from './document.ts'
import { Keys } from './keys.ts'
import type { Schema } from './keywords.ts'
import { uniqueIds } from './naming.ts'
import { rawParameters, type Argument, type RawParameter, toArguments } from './parameters.ts'
import { template } from './path.ts'
import { References } from './refs.ts'
import { acceptOf, answersWith, outputSchema } from './responses.ts'
import { resultType } from './result.ts'
import { Schemas, type Warn } from './schema.ts'
import { documentServer, firstServer, type Server, type ServerChoice, serverChoice } from './servers.ts'
import { at, isNode, listAt, type Node, nodeAt } from './tree.ts'

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const

interface Place {
  readonly method: string
  readonly path: string
  readonly pointer: string
  readonly operation: Node
  readonly item: Node
  readonly itemPointer: string
}

export interface Operations {
  readonly server: Server | undefined
  /** Of the servers that callers choose, those besides `server`. */
  readonly origins: readonly string[]
  readonly operations: readonly Operation[]
}

export function readOperations(document: Document, options: ImportOptions, issues: Issue[]): Operations {
  const reader = new Reader(document, options, issues)
  const operations = reader.read()
  return { server: reader.server, origins: reader.origins, operations }
}

class Reader {
  readonly server: Server | undefined
  readonly #document: Document
  readonly #options: ImportOptions
  readonly #issues: Issue[]
  readonly #refs: References
  readonly #keys: Keys
  readonly #schemas: Schemas
  readonly #input: Assembler
  readonly #output: Assembler
  readonly #origins = new Set<string>()

  constructor(document: Document, options: ImportOptions, issues: Issue[]) {
    this.#document = document
    this.#options = options
    this.#issues = issues
    this.#refs = new References(document.root)
    this.#keys = new Keys(document.root)
    this.#schemas = new Schemas(this.#refs, document.dialect, this.#keys)
    this.#input = new Assembler(this.#schemas.definitions('input'), true)
    this.#output = new Assembler(this.#schemas.definitions('output'), false)
    this.server = documentServer(document.root, document.dialect, options)
  }

  get origins(): readonly string[] {
    return [...this.#origins].filter((origin) => origin !== this.server?.origin)
  }

  read(): Operation[] {
    const places = this.#places()
    if (places.length > limits.documentOperations)
      throw new GatewayError('over_limit', {
        words: `The description has more than ${limits.documentOperations} operations.`,
      })
    const ids = uniqueIds(places, (place, message) => this.#issue('warning', 'operation_id', place.pointer, message))
    const operations: Operation[] = []
    places.forEach((place, index) => {
      const label = `${place.method} ${place.path}`
      try {
        operations.push(this.#operation(place, ids[index] ?? '', label))
      } catch (error) {
        this.#schemas.rollBack()
        if (!(error instanceof GatewayError)) throw error
        this.#issue('error', error.code, place.pointer, `${label} is left out: ${error.message}`)
      }
    })
    return operations
  }

  #issue(severity: Issue['severity'], code: string, pointer: string, message: string): void {
    if (this.#issues.length < limits.documentWarnings) this.#issues.push({ severity, code, pointer, message })
  }

  #places(): Place[] {
    const places: Place[] = []
    for (const [path, entry] of Object.entries(nodeAt(this.#document.root, 'paths') ?? {})) {
      const pointer = at('/paths', path)
      if (!path.startsWith('/')) {
        if (!path.startsWith('x-'))
          this.#issue('warning', 'invalid_path', pointer, 'A path starts with a slash; this one is left out.')
        continue
      }
      const found = this.#refs.follow(entry)
      if (!found.ok) {
        this.#issue(
          'error',
          `${found.reason}_ref`,
          pointer,
          `The operations of ${path} are left out: their reference is ${found.reason}.`,
        )
        continue
      }
      if (!isNode(found.node)) continue
      // Members beside a path item's `$ref` add to it (OAS 3.1.1 §4.8.9).
      const item = isNode(entry) ? { ...found.node, ...entry } : found.node
      this.#collect(item, path, pointer, places)
    }
    return places
  }

  #collect(item: Node, path: string, pointer: string, places: Place[]): void {
    const add = (method: string, operation: unknown, where: string): void => {
      if (isNode(operation)) places.push({ method, path, pointer: where, operation, item, itemPointer: pointer })
    }
    for (const method of methods) {
      if (method === 'trace' && this.#document.dialect === '2.0') continue
      if (Object.hasOwn(item, method)) add(method.toUpperCase(), item[method], at(pointer, method))
    }
    if (this.#document.dialect !== '3.2') return
    if (Object.hasOwn(item, 'query')) add('QUERY', item['query'], at(pointer, 'query'))
    for (const [method, operation] of Object.entries(nodeAt(item, 'additionalOperations') ?? {}))
      if (/^[\w!#$%&'*+.^`|~-]{1,32}$/.test(method)) add(method, operation, at(pointer, 'additionalOperations', method))
  }

  #operation(place: Place, id: string, label: string): Operation {
    const { operation, item, method, pointer } = place
    const warn: Warn = (code, where, message) => this.#issue('warning', code, where, `${label}: ${message}`)
    this.#schemas.begin(warn)
    const raw = rawParameters(
      this.#refs,
      [
        { owner: item, pointer: place.itemPointer },
        { owner: operation, pointer },
      ],
      warn,
    )
    const body = this.#body(place, id, label, raw, warn)
    const path = template(place.path, raw, warn, pointer)
    const context = {
      dialect: this.#document.dialect,
      refs: this.#refs,
      schemas: this.#schemas,
      keys: this.#keys,
      options: this.#options,
      warn,
    }
    const args = toArguments(path.parameters, body !== undefined, context)
    const choice = this.#choice(place, args)
    const input = this.#input.assemble(inputSchema(args, body, choice))
    const output = outputSchema(operation, this.#document, this.#refs, this.#schemas, this.#output, pointer, warn)
    const title = titleOf(operation)
    return {
      id,
      label,
      ...(title === undefined ? {} : { title }),
      description: describe(operation, this.#refs, label, this.#options.descriptionChars ?? limits.descriptionChars),
      ...tagsOf(operation),
      input,
      ...(output === undefined ? {} : { output }),
      effect: effectOf(method),
      idempotent: /^(?:GET|HEAD|OPTIONS|TRACE|QUERY|PUT|DELETE)$/.test(method),
      binding: this.#binding(place, path.parts, args, body, choice, input) as unknown as Json,
    }
  }

  /** The target's choice binds operations that have it; an operation's own choice is one that it must have. */
  #contentType(id: string, label: string): string | undefined {
    const { contentTypes } = this.#options
    return contentTypes?.get(id) ?? contentTypes?.get(label) ?? contentTypes?.get('')
  }

  #body(place: Place, id: string, label: string, raw: readonly RawParameter[], warn: Warn): Body | undefined {
    const { operation, pointer } = place
    const context = {
      dialect: this.#document.dialect,
      refs: this.#refs,
      schemas: this.#schemas,
      warn,
      contentType: this.#contentType(id, label),
    }
    const own = operation['consumes']
    if (this.#document.dialect !== '2.0') {
      const old = raw.find((parameter) => parameter.in === 'body' || parameter.in === 'formData')
      if (operation['requestBody'] !== undefined || old === undefined) return requestBody(operation, pointer, context)
      warn('swagger_keywords', old.pointer, 'A body as Swagger 2.0 describes it stands here; it is taken.')
    }
    // An empty list of the operation clears the document's (OAS 2.0, Operation Object).
    const consumes = (Array.isArray(own) ? own : listAt(this.#document.root, 'consumes')).filter(
      (type) => typeof type === 'string',
    )
    return swaggerBody(raw, consumes, context)
  }

  /** The server that callers choose by arguments, named apart from parameters of the same name. */
  #choice({ operation, item }: Place, args: readonly Argument[]): ServerChoice | undefined {
    if (this.#options.server !== undefined || (this.#options.serverArguments ?? []).length === 0) return undefined
    const owners = [operation, item, this.#document.root].find(
      (owner) => firstServer(owner, this.#options) !== undefined,
    )
    const taken = new Set(args.map(({ binding }) => binding.argument))
    const choice = owners === undefined ? undefined : serverChoice(owners, this.#options, this.#keys, taken)
    for (const { origin } of choice?.binding.choices ?? []) this.#origins.add(origin)
    return choice
  }

  /** Where an operation or its path says otherwise than the document. */
  #ownServer({ operation, item }: Place): Server | undefined {
    const { root, dialect } = this.#document
    if (dialect !== '2.0') return firstServer(operation, this.#options) ?? firstServer(item, this.#options)
    const schemes = listAt(operation, 'schemes')
    const own = schemes.length === 0 ? undefined : documentServer({ ...root, schemes }, dialect, this.#options)
    // The same host, reached more safely: what is trusted with the credential still is.
    if (own?.origin.startsWith('https:') === true && this.#options.server === undefined) this.#origins.add(own.origin)
    return own
  }

  #binding(
    place: Place,
    parts: readonly string[],
    args: readonly Argument[],
    body: Body | undefined,
    choice: ServerChoice | undefined,
    input: Schema,
  ): Binding {
    const own = this.#ownServer(place)
    const server =
      this.#options.server === undefined && own !== undefined && !sameServer(own, this.server) ? own : undefined
    const byName = new Map(
      args.filter(({ binding }) => binding.in === 'path').map(({ binding }) => [binding.name, binding.argument]),
    )
    const renames = this.#keys.renamesIn(input)
    return {
      method: place.method,
      path: parts.map((part, index) => (index % 2 === 0 ? part : (byName.get(part) ?? part))),
      parameters: args.map(({ binding }) => binding),
      ...(body === undefined ? {} : { body: body.binding }),
      accept: acceptOf(place.operation, this.#document, this.#refs),
      ...(answersWith(place.operation, this.#refs, resultType) ? { speaksMcp: true as const } : {}),
      ...(server === undefined ? {} : { server }),
      ...(choice === undefined ? {} : { servers: choice.binding }),
      ...(renames === undefined ? {} : { renames: { keys: renames, schema: input } }),
    }
  }
}

const sameServer = (a: Server, b: Server | undefined): boolean => a.origin === b?.origin && a.basePath === b.basePath

/** The flat arguments: an object without combinators at its root, closed, so that a misspelt name is noticed. */
function inputSchema(args: readonly Argument[], body: Body | undefined, choice: ServerChoice | undefined): Schema {
  const properties: Schema = {}
  const required: string[] = []
  for (const argument of args) {
    properties[argument.binding.argument] = argument.schema
    if (argument.required) required.push(argument.binding.argument)
  }
  if (body !== undefined) {
    properties[bodyArgument] = body.schema
    if (body.required) required.push(bodyArgument)
  }
  for (const [name, schema] of choice?.schemas ?? []) properties[name] = schema
  return { type: 'object', properties, ...(required.length > 0 ? { required } : {}), additionalProperties: false }
}

function effectOf(method: string): Effect {
  if (/^(?:GET|HEAD|OPTIONS|TRACE|QUERY)$/.test(method)) return 'read'
  return method === 'DELETE' ? 'delete' : 'write'
}
