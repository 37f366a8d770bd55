/** The gateway as a process, driven by the official clients of every revision, against a target that records. */
import { createMCPClient } from '@ai-sdk/mcp'
import { MultiServerMCPClient } from '@langchain/mcp-adapters'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CallToolResultSchema,
  isInitializeRequest,
  ListToolsResultSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { oneTool, partsOf, petAnswer, petstore, petTools, png, rex } from '../support/petstore.ts'
import { type Recorded, type Recorder, startRecorder } from '../support/recorder.ts'

let target: Recorder
let gateway: GatewayProcess

beforeAll(async () => {
  target = await startRecorder()
  target.answer = petAnswer
  gateway = await startGatewayProcess({
    config: {
      name: 'pet gateway',
      instructions: 'Be kind.',
      admin: { port: 0, tools: false },
      egress: { allow: [target.address] },
    },
    files: { 'specs/pets.json': petstore(target.origin) },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.requests.length = 0
})

interface ToolResult {
  readonly content: readonly { readonly type: string; readonly [member: string]: unknown }[]
  readonly structuredContent?: unknown
  readonly isError?: boolean | undefined
}

/** What all clients have in common. */
interface Driven {
  readonly revision: string | undefined
  readonly server: unknown
  readonly instructions: string | undefined
  list(): Promise<{ readonly tools: readonly { readonly name: string; readonly [member: string]: unknown }[] }>
  call(name: string, args: Record<string, unknown>): Promise<ToolResult>
  /** Calls `act` whenever the gateway says that its list has changed; resolves when it listens. */
  listen(act: () => void): Promise<void>
  close(): Promise<void>
}

/** The client of `@modelcontextprotocol/sdk`, made to ask for an older revision than its newest where one is named. */
async function sdk(revision: string): Promise<Driven> {
  const transport = new StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp`))
  const send = transport.send.bind(transport)
  transport.send = async (message, options) =>
    !Array.isArray(message) && isInitializeRequest(message)
      ? send({ ...message, params: { ...message.params, protocolVersion: revision } }, options)
      : send(message, options)
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(transport)
  return {
    revision: transport.protocolVersion,
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    list: async () => ListToolsResultSchema.parse(await client.listTools()),
    call: async (name, args) => CallToolResultSchema.parse(await client.callTool({ name, arguments: args })),
    async listen(act) {
      client.setNotificationHandler(ToolListChangedNotificationSchema, act)
      // it opens its stream by itself after the handshake
      await until('the stream is open', async () => (await metric('toolgate_streams_open')) > 0)
    },
    close: () => client.close(),
  }
}

/** The client of `@modelcontextprotocol/client`, which speaks both eras. */
async function split(mode: v2.VersionNegotiationMode): Promise<Driven> {
  const client = new v2.Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } })
  await client.connect(new v2.StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp`)))
  const check = (type: 'ListToolsResult' | 'CallToolResult', value: unknown): void => {
    const { issues } = v2.specTypeSchemas[type]['~standard'].validate(value)
    expect(issues ?? []).toEqual([])
  }
  return {
    revision: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    async list() {
      const result = await client.listTools()
      check('ListToolsResult', result)
      return result
    },
    async call(name, args) {
      const result = await client.callTool({ name, arguments: args })
      check('CallToolResult', result)
      return result
    },
    async listen(act) {
      client.setNotificationHandler('notifications/tools/list_changed', act)
      await client.listen({ toolsListChanged: true })
    },
    close: () => client.close(),
  }
}

/** The value of a metric without labels. */
async function metric(name: string): Promise<number> {
  const response = await fetch(`${gateway.adminUrl}/metrics`, {
    headers: { authorization: `Bearer ${gateway.adminToken}` },
  })
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1])
}

const clients: readonly [name: string, revision: string, connect: () => Promise<Driven>][] = [
  ['@modelcontextprotocol/sdk', '2025-11-25', () => sdk('2025-11-25')],
  ['@modelcontextprotocol/sdk', '2025-06-18', () => sdk('2025-06-18')],
  ['@modelcontextprotocol/sdk', '2025-03-26', () => sdk('2025-03-26')],
  ['@modelcontextprotocol/client, pinned', '2026-07-28', () => split({ pin: '2026-07-28' })],
  ['@modelcontextprotocol/client, auto', '2026-07-28', () => split('auto')],
]

interface Case {
  readonly says: string
  readonly tool: string
  readonly args: Record<string, unknown>
  readonly sends: { method: string; url: string; headers?: Recorded['headers']; body?: string }
  readonly gives: ToolResult
}

const asText = (value: unknown): ToolResult['content'] => [
  { type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) },
]

const cases: readonly Case[] = [
  {
    says: 'puts query and header parameters where they belong',
    tool: 'listPets',
    args: { limit: 2, tags: ['a b', 'c&d'], 'X-Tenant': 'blue' },
    sends: { method: 'GET', url: '/v2/pets?limit=2&tags=a%20b&tags=c%26d', headers: { 'x-tenant': 'blue' } },
    gives: { content: asText([rex]) },
  },
  {
    says: 'leaves out what is not given',
    tool: 'listPets',
    args: {},
    sends: { method: 'GET', url: '/v2/pets' },
    gives: { content: asText([rex]) },
  },
  {
    says: 'encodes a path parameter as one segment, and gives structured content',
    tool: 'getPet',
    args: { petId: 'a/b?c#d ü%2e' },
    sends: { method: 'GET', url: '/v2/pets/a%2Fb%3Fc%23d%20%C3%BC%252e' },
    gives: { content: asText(rex), structuredContent: rex },
  },
  {
    says: 'sends a JSON body as it is',
    tool: 'addPet',
    args: { body: { name: 'Räx "1"', tag: 'dog' } },
    sends: {
      method: 'POST',
      url: '/v2/pets',
      headers: { 'content-type': 'application/json' },
      body: '{"name":"Räx \\"1\\"","tag":"dog"}',
    },
    gives: { content: asText({ ...rex, name: 'Räx "1"' }), structuredContent: { ...rex, name: 'Räx "1"' } },
  },
  {
    says: 'sends a form',
    tool: 'login',
    args: { body: { user: 'a&b=c', password: 'ü x' } },
    sends: {
      method: 'POST',
      url: '/v2/login',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'user=a%26b%3Dc&password=%C3%BC+x',
    },
    gives: { content: asText('token-1') },
  },
  {
    says: 'gives an image as an image',
    tool: 'getPhoto',
    args: { petId: '7' },
    sends: { method: 'GET', url: '/v2/pets/7/photo' },
    gives: { content: [{ type: 'image', data: png.toString('base64'), mimeType: 'image/png' }] },
  },
  {
    says: 'says in words that an answer has no body',
    tool: 'deletePet',
    args: { petId: '7' },
    sends: { method: 'DELETE', url: '/v2/pets/7' },
    gives: { content: asText('The target answered 204 No Content, without a body.') },
  },
  {
    says: 'gives a refusal of the target as an error result with status and body, without structured content',
    tool: 'getPet',
    args: { petId: '404' },
    sends: { method: 'GET', url: '/v2/pets/404' },
    gives: {
      isError: true,
      content: asText('The target answered 404 Not Found.\n\nno such pet\n\n{"message":"no such pet"}'),
    },
  },
]

/** Headers that every request has besides what its case says. */
const always = ['accept', 'connection', 'host']

describe.each(clients)('%s, %s', (_name, revision, connect) => {
  let client: Driven

  beforeAll(async () => {
    client = await connect()
  })
  afterAll(() => client.close())

  it('agrees on the revision and learns who serves', () => {
    expect(client.revision).toBe(revision)
    expect(client.server).toMatchObject({ name: 'pet gateway' })
    expect(client.instructions).toBe('Be kind.')
  })

  it('lists the tools, in order, with their schemas', async () => {
    const { tools } = await client.list()
    expect(tools.map(({ name }) => name)).toEqual(petTools)
    expect(tools.find(({ name }) => name === 'pets___getPet')).toMatchObject({
      inputSchema: { type: 'object', properties: { petId: { type: 'string' } }, required: ['petId'] },
      outputSchema: { type: 'object' },
      annotations: { readOnlyHint: true, openWorldHint: true },
    })
    expect(tools.find(({ name }) => name === 'pets___listPets')).toMatchObject({ title: 'List pets' })
    expect(tools.find(({ name }) => name === 'pets___listPets')).not.toHaveProperty('outputSchema')
    expect(tools.find(({ name }) => name === 'pets___deletePet')).toMatchObject({
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
    })
  })

  it.each(cases)('$says', async ({ tool, args, sends, gives }) => {
    const { content, structuredContent, isError } = await client.call(`pets___${tool}`, args)
    expect({ content, structuredContent, isError: isError === true }).toEqual({
      content: gives.content,
      structuredContent: gives.structuredContent,
      isError: gives.isError === true,
    })
    expect(target.requests).toHaveLength(1)
    const [request] = target.requests
    const { headers = {}, body = '' } = sends
    expect(request).toMatchObject({
      method: sends.method,
      url: sends.url,
      headers: { ...headers, host: target.address },
    })
    expect(request?.body.toString()).toBe(body)
    const names = Object.keys(request?.headers ?? {}).filter(
      (name) => name !== 'accept-encoding' && name !== 'user-agent',
    )
    const expected = [...always, ...Object.keys(headers), ...(body === '' ? [] : ['content-length'])]
    expect(names.toSorted()).toEqual(expected.toSorted())
  })

  it('sends a file and a field as multipart/form-data', async () => {
    const photo = { filename: 'a"b.png', contentType: 'image/png', data: png.toString('base64') }
    const result = await client.call('pets___putPhoto', { petId: '7', body: { photo, caption: 'ä' } })
    expect(result.content).toEqual(asText({ kept: true }))
    const [request] = target.requests
    expect(request).toMatchObject({ method: 'PUT', url: '/v2/pets/7/photo' })
    expect(request?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=\S+$/)
    expect(request === undefined ? {} : partsOf(request)).toEqual({
      photo: {
        head: 'Content-Disposition: form-data; name="photo"; filename="a%22b.png"\r\nContent-Type: image/png',
        bytes: png.toString('latin1'),
      },
      caption: { head: expect.stringMatching(/^Content-Disposition: form-data; name="caption"/), bytes: 'Ã¤' },
    })
  })

  it.each([
    ['a missing argument', 'getPet', {}, ['arguments/petId']],
    ['a wrong type', 'listPets', { limit: 'many' }, ['arguments/limit']],
    ['a wrong value', 'listPets', { limit: 0 }, ['arguments/limit']],
    [
      'faults in the body, all of them',
      'addPet',
      { body: { tag: 1, age: 2 } },
      ['arguments/body/name', 'arguments/body/tag', 'arguments/body/age'],
    ],
  ])('hears of %s with its path, and nothing is sent', async (_what, tool, args, paths) => {
    const { isError, content, structuredContent } = await client.call(`pets___${tool}`, args)
    expect(isError).toBe(true)
    expect(structuredContent).toBeUndefined()
    for (const path of paths) expect(content[0]?.['text']).toContain(`- ${path}: `)
    expect(target.requests).toEqual([])
  })

  it('hears that a tool is unknown as an error of the protocol', async () => {
    await expect(client.call('pets___nothing', {})).rejects.toMatchObject({ code: -32602 })
    expect(target.requests).toEqual([])
  })
})

describe('a file described as a string of a binary media type', () => {
  it('is a file like any other', async () => {
    const client = await split('auto')
    try {
      const file = { data: png.toString('base64') }
      const result = await client.call('pets___putPhoto', { petId: '7', body: { photo: file, scan: file } })
      expect(result.content).toEqual(asText({ kept: true }))
      const [request] = target.requests
      expect(request === undefined ? undefined : partsOf(request)['scan']).toEqual({
        head: 'Content-Disposition: form-data; name="scan"; filename="scan"\r\nContent-Type: application/octet-stream',
        bytes: png.toString('latin1'),
      })
    } finally {
      await client.close()
    }
  })
})

describe('clients of agent frameworks', () => {
  it('@ai-sdk/mcp lists and calls', async () => {
    const client = await createMCPClient({ transport: { type: 'http', url: `${gateway.url}/mcp` } })
    try {
      expect(Object.keys(await client.tools()).toSorted()).toEqual(petTools)
      expect(client.instructions).toBe('Be kind.')
      const good = await client.callTool({ name: 'pets___getPet', arguments: { petId: '7' } })
      expect(good).toMatchObject({ content: asText(rex), structuredContent: rex })
      const bad = await client.callTool({ name: 'pets___getPet', arguments: { petId: '404' } })
      expect(bad).toMatchObject({ isError: true })
      const wrong = await client.callTool({ name: 'pets___getPet', arguments: {} })
      expect(wrong).toMatchObject({ isError: true })
      await expect(client.callTool({ name: 'pets___nothing' })).rejects.toThrow(/no tool of this name/)
      expect(target.requests.map(({ url }) => url)).toEqual(['/v2/pets/7', '/v2/pets/404'])
    } finally {
      await client.close()
    }
  })

  it('@langchain/mcp-adapters lists and calls', async () => {
    const client = new MultiServerMCPClient({ mcpServers: { pets: { transport: 'http', url: `${gateway.url}/mcp` } } })
    try {
      const tools = await client.getTools()
      expect(tools.map(({ name }) => name)).toEqual(petTools)
      const getPet = tools.find(({ name }) => name === 'pets___getPet')
      expect(await getPet?.invoke({ petId: '7' })).toMatchObject({ text: JSON.stringify(rex), structuredContent: rex })
      await expect(getPet?.invoke({ petId: '404' })).rejects.toThrow(/404 Not Found/)
      await expect(getPet?.invoke({ petId: 7 })).rejects.toThrow()
      expect(target.requests.map(({ url }) => url)).toEqual(['/v2/pets/7', '/v2/pets/404'])
    } finally {
      await client.close()
    }
  })
})

describe('news of a changed list', () => {
  it('reach an older client on its stream and a newer one on its subscription when a file is dropped', async () => {
    const old = await sdk('2025-11-25')
    const modern = await split({ pin: '2026-07-28' })
    try {
      const heard = { old: 0, modern: 0 }
      await old.listen(() => void heard.old++)
      await modern.listen(() => void heard.modern++)
      writeIn(gateway.dir, 'specs/extra.json', oneTool(target.origin, 'extra'))
      await until('both have heard', () => heard.old > 0 && heard.modern > 0)
      expect((await old.list()).tools.map(({ name }) => name)).toContain('extra___extra')
      expect((await modern.list()).tools.map(({ name }) => name)).toContain('extra___extra')
      expect(await modern.call('extra___extra', {})).toMatchObject({ content: asText({ kept: true }) })
    } finally {
      await Promise.all([old.close(), modern.close()])
    }
  })
})
