/**
 * The cases of building requests, when they are there: `TOOLGATE_CORPUS` names a folder with `execution-cases.*.json`.
 * Each is a small description, a call and the one right request with the section that asks for it; each goes over MCP
 * through a running gateway to a recording server. What deviates, and why, is in `execution-deviations.json`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toDefinition } from '../src/catalogue/tool.ts'
import type { Binding } from '../src/targets/openapi/binding.ts'
import { openapi } from '../src/targets/openapi.ts'
import deviations from './execution-deviations.json' with { type: 'json' }
import { type GatewayProcess, startGatewayProcess } from './support/gateway.ts'
import { callModern } from './support/mcp.ts'
import {
  group,
  mediaType,
  type Part,
  readCookies,
  readForm,
  readMultipart,
  readUrl,
  readXml,
} from './support/read-request.ts'
import { json, type Recorded, type Recorder, startRecorder } from './support/recorder.ts'

type Value = string | number | boolean | null | Value[] | { [key: string]: Value }

type Body =
  | { kind: 'none' }
  | { kind: 'json'; value: Value }
  | { kind: 'text' | 'xml'; value: string }
  | { kind: 'bytes'; base64: string }
  | { kind: 'form'; pairs: [string, string][]; jsonPairs?: string[] }
  | { kind: 'multipart'; parts: WantedPart[] }

interface WantedPart {
  readonly name: string
  readonly value?: string
  readonly base64?: string
  readonly json?: Value
  readonly contentType?: string
  readonly file?: boolean
  readonly filename?: string
}

interface Case {
  readonly id: string
  readonly citation: string
  readonly openapi: { readonly swagger?: string; readonly [key: string]: unknown }
  readonly operation: { readonly method: string; readonly path: string }
  readonly arguments: { readonly [name: string]: Value }
  readonly parameters?: readonly { readonly in: string; readonly name: string; readonly value: Value }[]
  readonly documentUrl?: string
  readonly serverVariables?: { readonly [name: string]: string }
  readonly credentials?: { readonly [scheme: string]: { readonly [part: string]: string } }
  readonly expect: {
    readonly method: string
    readonly url: string
    readonly urlAccept?: string[]
    readonly queryJson?: string[]
    readonly headers?: { readonly [name: string]: string }
    readonly headerJson?: string[]
    readonly cookies?: [string, string][]
    readonly cookiesAccept?: [string, string][][]
    readonly body?: Body
  }
}

const corpus = process.env['TOOLGATE_CORPUS'] ?? join(import.meta.dirname, '../.corpus')
const files = existsSync(corpus) ? readdirSync(corpus).filter((name) => /^execution-cases\..*json$/.test(name)) : []
const cases = files.flatMap((name) => (JSON.parse(readFileSync(join(corpus, name), 'utf8')) as { cases: Case[] }).cases)
const known = new Map(Object.entries(deviations))

if (cases.length === 0)
  process.stderr.write(`\nSKIPPED: the execution cases, since ${corpus} has none. Set TOOLGATE_CORPUS to run them.\n\n`)

let recorder: Recorder
let gateway: GatewayProcess

/** The secrets of a case by the environment variables that the configuration names. */
const secretName = (id: string, part: string): string => `CASE_${id.replaceAll('-', '_')}_${part}`.toUpperCase()

function credentialOf({ id, openapi: document, credentials }: Case): object | undefined {
  const [[scheme, parts] = []] = Object.entries(credentials ?? {})
  if (scheme === undefined || parts === undefined) return undefined
  const components = document['components'] as { securitySchemes?: { [name: string]: { [key: string]: string } } }
  const schemes = components?.securitySchemes ?? (document['securityDefinitions'] as typeof components.securitySchemes)
  const { type, in: place, name, scheme: http } = schemes?.[scheme] ?? {}
  const secret = (part: string): object => ({ env: secretName(id, part) })
  if (type === 'apiKey') return { type: 'apiKey', in: place, name, value: secret('apiKey') }
  if (type === 'basic' || http === 'basic')
    return { type: 'basic', username: secret('username'), password: secret('password') }
  return { type: 'apiKey', in: 'header', name: 'Authorization', prefix: 'Bearer', value: secret('token') }
}

const secretsOf = ({ id, credentials }: Case): [string, string][] =>
  Object.values(credentials ?? {}).flatMap((parts) =>
    Object.entries(parts).map(([part, value]): [string, string] => [secretName(id, part), value]),
  )

async function start(): Promise<void> {
  recorder = await startRecorder()
  const targets = cases.flatMap((one) => {
    const credential = credentialOf(one)
    const named = credential === undefined ? {} : { credential: one.id }
    const variables = one.serverVariables === undefined ? {} : { serverVariables: one.serverVariables }
    const settings = { ...named, ...variables }
    return Object.keys(settings).length === 0 ? [] : [[one.id, settings]]
  })
  gateway = await startGatewayProcess({
    config: {
      admin: { port: 0, tools: false },
      credentials: Object.fromEntries(
        cases.flatMap((one) => (one.credentials === undefined ? [] : [[one.id, credentialOf(one)]])),
      ),
      targets: Object.fromEntries(targets) as object,
    },
    files: Object.fromEntries(
      cases
        .filter(({ documentUrl }) => documentUrl === undefined)
        .map(({ id, openapi: document }) => [`specs/${id}.json`, document]),
    ),
    env: {
      ...Object.fromEntries(cases.flatMap(secretsOf)),
      INWARD_PORT: new URL(recorder.origin).port,
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'support/inward.ts')).href}`,
    },
  })
  for (const one of cases) if (one.documentUrl !== undefined) await registerFrom(one, one.documentUrl)
  recorder.answer = json({ ok: true })
}

/** A description whose address matters is registered by it; the recorder is that address. */
async function registerFrom({ id, openapi: document }: Case, url: string): Promise<void> {
  recorder.answer = json(document)
  const answer = await fetch(`${gateway.adminUrl}/api/targets/${id}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${gateway.adminToken}` },
    body: JSON.stringify({ url }),
  })
  if (!answer.ok) throw new Error(`${id} was not registered: ${await answer.text()}`)
}

/** A file within a form is an object with its name and type; alone it is its bytes in base64. */
function withFiles(value: Value, inForm: boolean): Value {
  if (Array.isArray(value)) return value.map((element) => withFiles(element, inForm))
  if (typeof value !== 'object' || value === null) return value
  const file = value['$file']
  if (typeof file === 'object' && file !== null && !Array.isArray(file)) {
    const { base64 = '', ...more } = file
    return inForm ? { ...more, data: base64 } : base64
  }
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withFiles(child, inForm)]))
}

/** The tool of a case and the arguments under the names that it shows. */
async function callOf(one: Case): Promise<{ tool: string; args: { [name: string]: Value } }> {
  const { operations } = await openapi.load(Buffer.from(JSON.stringify(one.openapi)), {
    ...(one.documentUrl === undefined ? {} : { documentUrl: one.documentUrl }),
  })
  const operation = operations.find(({ label }) => label === `${one.operation.method} ${one.operation.path}`)
  if (operation === undefined) throw new Error(`${one.id} has no tool`)
  const binding = operation.binding as unknown as Binding
  const args: { [name: string]: Value } = {}
  const form: { [name: string]: Value } = {}
  for (const { in: place, name, value } of one.parameters ?? []) {
    const bound = binding.parameters.find((parameter) => parameter.name === name && parameter.in === place)
    if (place === 'formData') form[name] = withFiles(value, true)
    else args[bound?.argument ?? name] = value
  }
  const { body } = one.arguments
  if (body !== undefined) args['body'] = withFiles(body, binding.body?.kind === 'multipart')
  if (Object.keys(form).length > 0) args['body'] = form
  return { tool: toDefinition(one.id, operation).name, args }
}

async function send(one: Case): Promise<Recorded> {
  recorder.requests.length = 0
  const { tool, args } = await callOf(one)
  const { json: answer, text } = await callModern(gateway.url, tool, args)
  if (answer?.result?.isError !== false && answer?.result?.isError !== undefined) throw new Error(text)
  const [request, second] = recorder.requests
  if (request === undefined || second !== undefined)
    throw new Error(`${recorder.requests.length} requests came: ${text}`)
  return request
}

/** The URL with the parameters that are JSON as their values. */
function meaningOf(url: string, jsonNames: readonly string[] = []): object {
  const { query, ...rest } = readUrl(url)
  const entries = Object.entries(query).map(([name, values]) => {
    const plain = decodeURIComponent(name)
    return jsonNames.includes(plain)
      ? [plain, values.map((value) => JSON.parse(decodeURIComponent(value ?? '')) as Value)]
      : [name, values]
  })
  return { ...rest, query: Object.fromEntries(entries) as object }
}

/** Compares with the first of the right ones that is met, or else with the one of the specification. */
function expectOneOf(actual: unknown, right: readonly unknown[]): void {
  expect(actual).toEqual(
    right.find((one) => JSON.stringify(sorted(one)) === JSON.stringify(sorted(actual))) ?? right[0],
  )
}

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, child]) => [key, sorted(child)]),
        )
      : value

function expectHeaders({ headers }: Recorded, { headers: wanted = {}, headerJson = [] }: Case['expect']): void {
  for (const [name, value] of Object.entries(wanted)) {
    const got = headers[name.toLowerCase()]
    const text = Array.isArray(got) ? got.join(', ') : got
    if (name.toLowerCase() === 'content-type') expect(mediaType(text), name).toBe(mediaType(value))
    else if (headerJson.includes(name)) expect(JSON.parse(text ?? '') as Value, name).toEqual(JSON.parse(value))
    else expect(text, name).toBe(value)
  }
}

/** Parts of a name in order; of each what the case says of it. */
function expectParts(parts: readonly Part[], wanted: readonly WantedPart[]): void {
  const seen = (part: Part, { value, base64, json: data, contentType, file, filename }: WantedPart): object => ({
    name: part.name,
    ...(value === undefined ? {} : { value: part.bytes.toString('utf8') }),
    ...(base64 === undefined ? {} : { base64: part.bytes.toString('base64') }),
    ...(data === undefined ? {} : { json: JSON.parse(part.bytes.toString('utf8')) as Value }),
    ...(contentType === undefined ? {} : { contentType: mediaType(part.contentType) }),
    ...(file === undefined ? {} : { file: part.filename !== undefined }),
    ...(filename === undefined ? {} : { filename: part.filename }),
  })
  const got = group(parts.map((part): [string, Part] => [part.name, part]))
  const want = group(wanted.map((part): [string, WantedPart] => [part.name, part]))
  expect(Object.fromEntries(Object.entries(got).map(([name, { length }]) => [name, length]))).toEqual(
    Object.fromEntries(Object.entries(want).map(([name, { length }]) => [name, length])),
  )
  for (const [name, all] of Object.entries(want))
    all.forEach((one, index) => {
      const part = got[name]?.[index]
      expect(part === undefined ? undefined : seen(part, one), name).toEqual(one)
    })
}

function expectBody({ body, headers }: Recorded, wanted: Body): void {
  switch (wanted.kind) {
    case 'none':
      return expect(body.toString('latin1')).toBe('')
    case 'json':
      return expect(JSON.parse(body.toString('utf8'))).toEqual(wanted.value)
    case 'text':
      return expect(body.toString('utf8')).toBe(wanted.value)
    case 'bytes':
      return expect(body.toString('base64')).toBe(wanted.base64)
    case 'xml':
      return expect(readXml(body.toString('utf8'))).toEqual(readXml(wanted.value))
    case 'form': {
      const read = ([name, value]: [string, string]): [string, unknown] => [
        name,
        wanted.jsonPairs?.includes(name) === true ? JSON.parse(value) : value,
      ]
      return expect(group(readForm(body.toString('utf8')).map(read))).toEqual(group(wanted.pairs.map(read)))
    }
    case 'multipart':
      return expectParts(readMultipart(body, headers['content-type']), wanted.parts)
  }
}

/** Every point of the case; a body that the case does not speak of is none. */
function expectRequest(request: Recorded, wanted: Case['expect']): void {
  const { queryJson, urlAccept = [], cookies, cookiesAccept = [] } = wanted
  expect(request.method).toBe(wanted.method)
  const url = `https://${request.headers.host}${request.url}`
  expectOneOf(
    meaningOf(url, queryJson),
    [wanted.url, ...urlAccept].map((one) => meaningOf(one, queryJson)),
  )
  expectHeaders(request, wanted)
  if (cookies !== undefined)
    expectOneOf(
      group(readCookies(request.headers.cookie)),
      [cookies, ...cookiesAccept].map((pairs) => group(pairs)),
    )
  expectBody(request, wanted.body ?? { kind: 'none' })
}

describe('the execution cases, through a running gateway', () => {
  if (cases.length === 0) it.skip('are not there: set TOOLGATE_CORPUS to the folder that has them')

  describe.skipIf(cases.length === 0)('to a recording server', () => {
    beforeAll(start)
    afterAll(async () => {
      await gateway.remove()
      await recorder.close()
    })

    it('deviate, where they do, by their names and with reasons', () => {
      const ids = cases.map(({ id }) => id)
      expect([...known.keys()].filter((id) => !ids.includes(id))).toEqual([])
      for (const reason of known.values()) expect(reason).toMatch(/§|RFC|OAS|Section/)
    })

    it.each(cases.map((one) => [one.id, one.citation, one] as const))('%s: %s', async (id, _, one) => {
      const request = send(one).then((sent) => expectRequest(sent, one.expect))
      if (!known.has(id)) return request
      return expect(request, `${id} is right now; take it off the list`).rejects.toThrow()
    })
  })
})
