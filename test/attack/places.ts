/** A target with one operation for every place that an argument can go to, and messages for the gateway before it. */
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { modernRequest, post } from '../support/mcp.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'

export const resultType = 'application/vnd.toolgate.result+json'
const fine = { 200: { description: 'Fine' } }
const anyObject = { type: 'object' }
const bodyOf = (type: string, schema: object): object => ({ required: true, content: { [type]: { schema } } })
const parameter = (name: string, place: string, schema: object, more: object = {}): object => ({
  name,
  in: place,
  required: place === 'path',
  schema,
  ...more,
})

const description = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Places', version: '1' },
  servers: [{ url: origin }],
  paths: {
    '/plain': { get: { operationId: 'plain', responses: fine } },
    '/asks': {
      get: {
        operationId: 'asks',
        parameters: [parameter('which', 'query', { type: 'string' })],
        responses: { 200: { description: 'Fine', content: { [resultType]: {} } } },
      },
    },
    '/json': { post: { operationId: 'json', requestBody: bodyOf('application/json', anyObject), responses: fine } },
    '/form': {
      post: {
        operationId: 'form',
        requestBody: bodyOf('application/x-www-form-urlencoded', anyObject),
        responses: fine,
      },
    },
    '/multipart': {
      post: { operationId: 'multipart', requestBody: bodyOf('multipart/form-data', anyObject), responses: fine },
    },
    '/query': { get: { operationId: 'query', parameters: [parameter('o', 'query', anyObject)], responses: fine } },
    '/deep': {
      get: {
        operationId: 'deep',
        parameters: [parameter('o', 'query', anyObject, { style: 'deepObject', explode: true })],
        responses: fine,
      },
    },
    '/header': { get: { operationId: 'header', parameters: [parameter('o', 'header', anyObject)], responses: fine } },
    '/cookie': { get: { operationId: 'cookie', parameters: [parameter('o', 'cookie', anyObject)], responses: fine } },
    '/path/{o}': { get: { operationId: 'path', parameters: [parameter('o', 'path', anyObject)], responses: fine } },
    '/strict': {
      post: {
        operationId: 'strict',
        requestBody: bodyOf('application/json', {
          type: 'object',
          required: ['name'],
          properties: { name: { type: 'string' }, age: { type: 'integer', maximum: 150 }, kind: { enum: ['a', 'b'] } },
          additionalProperties: false,
        }),
        responses: fine,
      },
    },
    '/pattern': {
      post: {
        operationId: 'pattern',
        requestBody: bodyOf('application/json', {
          type: 'object',
          properties: {
            nested: { type: 'string', pattern: '^(a+)+$' },
            either: { type: 'string', pattern: '^(a|aa)+$' },
            spaces: { type: 'string', pattern: '(?:\\s*,?\\s*)*;$' },
            counted: { type: 'string', pattern: '^((a{0,100}){0,100}){0,100}$' },
            ahead: { type: 'string', pattern: '^(?=(a+)+$)b' },
            broken: { type: 'string', pattern: '(((' },
          },
        }),
        responses: fine,
      },
    },
  },
})

export type Answer = Awaited<ReturnType<typeof post>>

export interface Places {
  readonly target: Recorder
  readonly gateway: GatewayProcess
  /** A message without MCP headers, which is how an older client sends it. */
  legacy(body: string | object, headers?: object): Promise<Answer>
  modern(method: string, params?: object): Promise<Answer>
  /** A call whose arguments are JSON text, for what no JavaScript value says. */
  callWithText(name: string, args: string): Promise<Answer>
  close(): Promise<void>
}

/** The target under the name `t`, five tools a page. */
export async function startPlaces(): Promise<Places> {
  const target = await startRecorder()
  const gateway = await startGatewayProcess({
    config: {
      log: { level: 'debug' },
      egress: { allow: [target.address] },
      admin: { port: 0, tools: false },
      targets: { t: { openapi: 't.json' } },
      listPageSize: 5,
    },
    files: { 't.json': description(target.origin) },
  })
  const url = `${gateway.url}/mcp`
  return {
    target,
    gateway,
    legacy: (body, headers = {}) => post(url, { 'content-type': 'application/json', ...headers }, body),
    modern(method, params) {
      const { headers, body } = modernRequest(method, params)
      return post(url, headers, body)
    },
    callWithText(name, args) {
      const { headers, body } = modernRequest('tools/call', { name, arguments: '@' })
      return post(
        url,
        headers,
        JSON.stringify(body).replace('"@"', () => args),
      )
    },
    async close() {
      await gateway.remove()
      await target.close()
    },
  }
}

export const codeOf = (answer: Answer): unknown => answer.json?.error?.code
export const isRefusal = ({ json: body }: Answer): boolean =>
  body?.error !== undefined || body?.result?.isError === true
export const wordsOf = ({ json: body }: Answer): string => body?.result?.content?.[0]?.text ?? body?.error?.message

/** Rows of a table whose names are the beginning of their values. */
export const named = <Value>(values: readonly Value[]): [string, Value][] =>
  values.map((value) => [(typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 24), value])
