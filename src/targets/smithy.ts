/**
 * Smithy models of `restJson1` services, such as AWS publishes of its own: turned into an OpenAPI document in memory and
 * read as every other, so that names, shapes, limits and requests are the same. What restJson1 asks beyond OpenAPI is a
 * recipe in the binding.
 */
import type { Json, Operation } from '../core/model.ts'
import type { Issue, TargetAdapter } from './adapter.ts'
import { interpretAnswer } from './openapi/answer.ts'
import type { Binding } from './openapi/binding.ts'
import { addAnswers } from './openapi/result.ts'
import type { Facts } from './smithy/operation.ts'
import { buildSmithyRequest, type Recipe, type SmithyBinding } from './smithy/recipe.ts'

export const smithy: TargetAdapter = {
  kind: 'smithy',

  async load(bytes, options) {
    // What reads descriptions is loaded where one is read: in the import thread, and in no other.
    const [{ toOpenApi }, { readDocument }, { readOperations }] = await Promise.all([
      import('./smithy/document.ts'),
      import('./openapi/document.ts'),
      import('./openapi/operations.ts'),
    ])
    const issues: Issue[] = []
    const { format, openapi, facts, sources } = toOpenApi(bytes, options, issues)
    const heard: Issue[] = []
    const document = await readDocument(Buffer.from(JSON.stringify(openapi)), heard, options.overlays ?? [])
    // The credential's place is known by its name on the wire, which the document has not: it is seen to already.
    // And where a model comes from says nothing of where its service is.
    const { credentialPlace: _place, documentUrl: _url, ...rest } = options
    const { server, origins, operations } = readOperations(document, rest, heard)
    return {
      format,
      ...(server === undefined ? {} : { server: `${server.origin}${server.basePath}` }),
      origins: [...new Set([...origins, ...operations.flatMap((operation) => ownOrigin(operation, facts))])],
      operations: operations.map((operation) => finished(operation, facts.get(operation.label))),
      issues: [...issues, ...heard.map((issue) => ({ ...issue, pointer: inModel(issue.pointer, sources) }))],
    }
  },

  prepare(operation, args, target, answers) {
    const request = buildSmithyRequest(operation.binding as unknown as SmithyBinding, args, target)
    if (answers !== undefined) addAnswers(request.headers, answers)
    return request
  },

  interpret: interpretAnswer,
}

/** The pointer into the model for one into the document that was made of it. */
function inModel(pointer: string, sources: ReadonlyMap<string, string>): string {
  const place = pointer.split('/').slice(0, 4).join('/')
  return sources.get(place) ?? pointer
}

/** A host that a prefix makes of the service's own is trusted with what the service is trusted with. */
function ownOrigin({ label, binding }: Operation, facts: ReadonlyMap<string, Facts>): readonly string[] {
  const { server } = binding as unknown as Binding
  return server === undefined || facts.get(label)?.hostPrefix === undefined ? [] : [server.origin]
}

/** The operation with what OpenAPI could not say: names on the wire, the recipe, the traits that tell its effect. */
function finished(operation: Operation, facts: Facts | undefined): Operation {
  const binding = operation.binding as unknown as Binding
  const argumentOf = new Map(binding.parameters.map(({ name, argument }) => [name, argument]))
  const parameters = binding.parameters
    .filter(({ name }) => facts?.spread.has(name) !== true)
    .map((parameter) => ({ ...parameter, name: facts?.wire.get(parameter.name) ?? parameter.name }))
  const whole: SmithyBinding = {
    ...binding,
    parameters,
    ...(facts?.json === true ? { accept: 'application/json' } : {}),
    smithy: byArgument(facts?.recipe ?? {}, (name) => argumentOf.get(name) ?? name),
  }
  return {
    ...operation,
    effect: facts?.effect ?? operation.effect,
    idempotent: operation.idempotent || facts?.idempotent === true,
    binding: whole as unknown as Json,
  }
}

/** The recipe by names of arguments instead of members: they differ where two of them would be one. */
function byArgument(recipe: Recipe, argument: (member: string) => string): Recipe {
  const { greedy, tokens, quoted, base64, contentType, query, headers } = recipe
  return {
    ...recipe,
    ...(greedy === undefined ? {} : { greedy: greedy.map(argument) }),
    ...(tokens === undefined ? {} : { tokens: tokens.map(argument) }),
    ...(quoted === undefined ? {} : { quoted: quoted.map(argument) }),
    ...(base64 === undefined ? {} : { base64: base64.map(argument) }),
    ...(contentType === undefined ? {} : { contentType: argument(contentType) }),
    ...(query === undefined ? {} : { query: { ...query, argument: argument(query.argument) } }),
    ...(headers === undefined
      ? {}
      : { headers: headers.map((entry) => ({ ...entry, argument: argument(entry.argument) })) }),
  }
}
