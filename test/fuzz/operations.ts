/** Descriptions in the making, of one operation each: a few parameters, perhaps a body, a server with variables. */
import * as fc from 'fast-check'
import { bodies, type BodyCase, swaggerForms } from './bodies.ts'
import { type Case, casesOf, swaggerCasesOf } from './parameters.ts'

/** Names that stand apart in every place, among them some that a tool may not show as they are. */
const parameterNames: { readonly [place: string]: readonly string[] } = {
  path: ['id', 'user name', 'größe'],
  query: ['q', 'page[size]', '$filter', 'a.b', '中', 'id'],
  header: ['X-Trace', 'x_tenant', 'id'],
  cookie: ['session', 'theme-x', 'id'],
}

const { cookie: _, ...withoutCookies } = parameterNames

/** A server with variables: the values that the configuration chose, those that callers may choose, where it leads. */
export interface ServerCase {
  readonly server: object
  readonly variables: { readonly [name: string]: string }
  readonly offered: readonly string[]
  readonly args: { readonly [name: string]: string }
  readonly url: string
}

const presets = { region: 'eu', port: '443', base: 'v1' }
const variable = {
  region: { default: presets.region, enum: ['eu', 'us'] },
  port: { default: presets.port, enum: ['443', '8443'] },
  base: { default: presets.base },
}

const picked = fc.record({
  region: fc.constantFrom('eu', 'us'),
  port: fc.constantFrom('443', '8443'),
  base: fc.constantFrom('v1', 'a/b', ''),
})

/** Some members of an object. */
const partOf = (values: typeof presets, names: readonly (keyof typeof presets)[]): { [name: string]: string } =>
  Object.fromEntries(names.map((name) => [name, values[name]]))

const servers: fc.Arbitrary<ServerCase> = fc
  .record({
    configured: picked,
    chosen: fc.subarray(['region', 'port', 'base'] as const),
    asked: picked,
    offered: fc.subarray(['region', 'port'] as const),
    given: fc.subarray(['region', 'port'] as const),
  })
  .map(({ configured, chosen, asked, offered, given }) => {
    const variables = partOf(configured, chosen)
    const args = partOf(
      asked,
      given.filter((name) => offered.includes(name)),
    )
    const { region, port, base } = { ...presets, ...variables, ...args }
    return {
      server: { url: 'https://{region}.example.test:{port}/{base}/', variables: variable },
      variables,
      offered,
      args,
      url: `https://${region}.example.test${port === '443' ? '' : `:${port}`}${base === '' ? '' : `/${base}`}`,
    }
  })

/** Shown in a report without the arbitraries, which say nothing to a reader. */
const told = <Shown extends { readonly document: object }>(one: Shown): Shown =>
  Object.defineProperty(one, fc.toStringMethod, { value: () => JSON.stringify(one.document) })

/** A whole operation: at most a few parameters of each place, perhaps a body, a server with variables. */
export interface OperationCase {
  readonly document: object
  readonly template: string
  readonly parameters: readonly Case[]
  readonly body: BodyCase | undefined
  readonly form: readonly Case[]
  readonly server: ServerCase
}

/** The cases of a name, made once: there are hundreds. */
const kept = (make: (name: string) => Case[]): ((name: string, place: string) => Case[]) => {
  const made = new Map<string, Case[]>()
  return (name, place) => {
    const key = `${place} ${name}`
    const cases = made.get(key) ?? make(name).filter(({ parameter }) => parameter.in === place)
    made.set(key, cases)
    return cases
  }
}

const modernCases = kept(casesOf)
const swaggerCases = kept(swaggerCasesOf)

const someCases = (swagger: boolean): fc.Arbitrary<readonly Case[]> =>
  fc
    .tuple(
      ...Object.entries(swagger ? withoutCookies : parameterNames).map(([place, names]) =>
        fc
          .subarray([...names], { maxLength: 3 })
          .chain((chosen) =>
            fc.tuple(...chosen.map((name) => fc.constantFrom(...(swagger ? swaggerCases : modernCases)(name, place)))),
          ),
      ),
    )
    .map((places) => places.flat())

const templateOf = (cases: readonly Case[]): string =>
  cases
    .filter(({ parameter }) => parameter.in === 'path')
    .reduce((path, { parameter }, index) => `${path}/${['', 'p-', 'v1.'][index] ?? ''}{${parameter.name}}`, '/x')

const info = { title: 'Any', version: '1' }

export const modernOperations: fc.Arbitrary<OperationCase> = fc
  .record({
    parameters: someCases(false),
    body: fc.option(bodies, { nil: undefined }),
    server: servers,
    own: fc.boolean(),
  })
  .map(({ parameters, body, server, own }) => {
    const template = templateOf(parameters)
    const content = body && { [body.type]: { schema: body.schema, encoding: body.encoding } }
    const operation = {
      ...(own ? { servers: [server.server] } : {}),
      parameters: parameters.map(({ parameter }) => parameter),
      ...(content === undefined ? {} : { requestBody: { required: true, content } }),
      responses: {},
    }
    const servers = own ? [{ url: 'https://elsewhere.example.test/y' }] : [server.server]
    return told({
      document: { openapi: '3.2.0', info, servers, paths: { [template]: { post: operation } } },
      template,
      parameters,
      body,
      form: [],
      server,
    })
  })

export const swaggerOperations: fc.Arbitrary<OperationCase> = fc
  .record({
    parameters: someCases(true),
    form: fc.option(swaggerForms, { nil: [] }),
    base: fc.constantFrom('/', '/v1', '/v1/', undefined),
  })
  .map(({ parameters, form, base }) => {
    const template = templateOf(parameters)
    const all = [...parameters, ...form].map(({ parameter }) => parameter)
    const multipart = form.some(({ parameter }) => parameter.type === 'file')
    return told({
      document: {
        swagger: '2.0',
        info,
        host: 'api.example.test',
        schemes: ['https'],
        ...(base === undefined ? {} : { basePath: base }),
        ...(multipart ? { consumes: ['multipart/form-data'] } : {}),
        paths: { [template]: { post: { parameters: all, responses: {} } } },
      },
      template,
      parameters,
      body: undefined,
      form,
      server: {
        server: {},
        variables: {},
        offered: [],
        args: {},
        url: `https://api.example.test${(base ?? '').replace(/\/$/, '')}`,
      },
    })
  })
