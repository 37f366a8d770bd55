/** What an operator says of a target's tools, seen by a caller: overlays, settled arguments, selections, pins. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

let target: Recorder
let gateway: GatewayProcess

const orders = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Orders', version: '1' },
  servers: [{ url: origin }],
  paths: {
    '/orders': {
      get: {
        operationId: 'orders',
        tags: ['reading'],
        parameters: [
          { name: 'account', in: 'query', required: true, schema: { type: 'string' } },
          { name: 'limit', in: 'query', schema: { type: 'integer' } },
        ],
        responses: {
          200: {
            description: 'ok',
            content: { 'application/json': { schema: { type: 'object', properties: { items: {} } } } },
          },
        },
      },
      post: { operationId: 'order', tags: ['writing'] },
    },
  },
})

const configuration = (): object => ({
  listen: { port: 0 },
  admin: { port: 0 },
  egress: { allow: [target.address] },
  targets: {
    shop: {
      openapi: 'orders.json',
      overlay: 'overlay.yaml',
      tools: {
        include: ['tag:read*'],
        override: {
          orders: {
            title: 'Orders of ours',
            annotations: { openWorldHint: false },
            arguments: { account: { value: 'acme' }, limit: { default: 5 } },
            response: { select: 'items[].id' },
          },
        },
      },
    },
    pinned: { pin: true },
  },
})

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: configuration(),
    files: {
      'orders.json': orders(target.origin),
      'overlay.yaml': [
        'overlay: 1.0.0',
        'info: { title: Words, version: 1.0.0 }',
        'actions:',
        '  - target: $.paths["/orders"].get',
        '    update: { description: Orders of the account. }',
      ].join('\n'),
      'specs/pinned.json': oneTool(target.origin, 'first'),
    },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.answer = json({ items: [{ id: 1, secret: 'x' }, { id: 2 }] })
})

const { admin, list, statusOf, tools } = operatorOf(() => gateway)
const listed = async (name: string) =>
  (await list()).json.result.tools.find((tool: { name: string }) => tool.name === name)

describe('a tool that the operator shaped', () => {
  it('is the chosen operation with its overlay, title, annotations and arguments', async () => {
    expect((await tools()).filter((name) => name.startsWith('shop'))).toEqual(['shop___orders'])
    const tool = await listed('shop___orders')
    expect(tool).toMatchObject({
      title: 'Orders of ours',
      description: 'Orders of the account.',
      annotations: { title: 'Orders of ours', readOnlyHint: true, openWorldHint: false },
      inputSchema: { properties: { limit: { type: 'integer', default: 5 } } },
    })
    expect(JSON.stringify(tool)).not.toContain('acme')
    expect(tool.inputSchema.properties.account).toBeUndefined()
    expect(tool.outputSchema).toBeUndefined()
  })

  it('sends what is settled, whatever the caller says, and passes on what is selected', async () => {
    const { json: answer } = await callModern(gateway.url, 'shop___orders', {})
    expect(target.requests.at(-1)?.url).toBe('/orders?account=acme&limit=5')
    expect(answer.result.content).toEqual([{ type: 'text', text: '[1,2]' }])
    const refused = await callModern(gateway.url, 'shop___orders', { account: 'other' })
    expect(refused.json.result.isError).toBe(true)
  })

  it('takes JSON in a string for what it says, and logs where', async () => {
    const { json: answer } = await callModern(gateway.url, 'shop___orders', { limit: '7' })
    expect(answer.result.isError).toBeUndefined()
    expect(target.requests.at(-1)?.url).toContain('limit=7')
    await until('it is logged', async () => gateway.log().includes('"places":["/limit"]'), patienceMs)
  })

  it('follows its overlay', async () => {
    writeIn(
      gateway.dir,
      'overlay.yaml',
      'overlay: 1.0.0\ninfo: { title: W, version: "1" }\nactions:\n  - target: $.paths["/orders"].get\n    update: { description: Other words. }\n',
    )
    await until(
      'the words are the new ones',
      async () => (await listed('shop___orders'))?.description === 'Other words.',
      patienceMs,
    )
  })
})

describe('a pinned target', () => {
  const drop = (tool: string, origin = target.origin): void =>
    writeIn(gateway.dir, 'specs/pinned.json', oneTool(origin, tool))
  const pinned = async (): Promise<string[]> => (await tools()).filter((name) => name.startsWith('pinned'))
  const held = async (): Promise<string | undefined> =>
    ((await statusOf('pinned')) as { held?: string } | undefined)?.held

  it('serves what it had first, and holds a change', async () => {
    expect(await pinned()).toEqual(['pinned___first'])
    drop('second')
    await until('the change is held', async () => (await held()) !== undefined, patienceMs)
    expect(await pinned()).toEqual(['pinned___first'])
    expect((await statusOf('pinned'))?.reasons[0]).toContain('toolgate approve pinned')
    expect((await callModern(gateway.url, 'pinned___first', {})).status).toBe(200)
  })

  it('still holds it after a restart', async () => {
    await gateway.stop()
    gateway = await startGatewayProcess({ dir: gateway.dir })
    expect(await pinned()).toEqual(['pinned___first'])
    expect(await held()).toMatch(/^[0-9a-f]{16}$/)
  })

  it('takes it when the version that was looked at is approved, and no other', async () => {
    const version = await held()
    expect((await admin('/api/targets/pinned/approval?version=0000000000000000', { method: 'POST' })).status).toBe(409)
    expect(await pinned()).toEqual(['pinned___first'])
    expect((await admin(`/api/targets/pinned/approval?version=${version}`, { method: 'POST' })).status).toBe(200)
    expect(await pinned()).toEqual(['pinned___second'])
    expect(await held()).toBeUndefined()
    expect((await admin('/api/targets/pinned/approval', { method: 'POST' })).status).toBe(404)
  })

  it('holds another server, too', async () => {
    const other = await startRecorder()
    try {
      drop('second', other.origin)
      writeIn(gateway.dir, 'gateway.config.json', {
        ...configuration(),
        egress: { allow: [target.address, other.address] },
      })
      await until('the change is held', async () => (await held()) !== undefined, patienceMs)
      target.answer = json({ from: 'approved' })
      await callModern(gateway.url, 'pinned___second', {})
      expect(other.requests).toEqual([])
      expect((await statusOf('pinned'))?.reasons[0]).toContain('server changed')
    } finally {
      await other.close()
    }
  })

  it('keeps what was approved in a folder of its own', () => {
    expect(existsSync(join(gateway.dir, '.toolgate/pins/pinned.json'))).toBe(true)
    expect(readdirSync(join(gateway.dir, '.toolgate/pins')).toSorted()).toEqual(['pinned.held.json', 'pinned.json'])
  })
})
