/** How often callers may call: each limit by what it counts, what a refusal says, and what it costs nobody. */
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bearer, type Caller, callerOf, spooled } from '../support/callers.ts'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

/** Each target has limits of its own, so that no test stands in another’s way. */
const limits = [
  { by: ['principal'], perMinute: 3, match: { targets: ['minute'] } },
  { by: ['principal'], perSecond: 2, match: { targets: ['second'] } },
  { by: ['principal'], concurrent: 2, match: { targets: ['atOnce'] } },
  { by: ['target'], perMinute: 4, match: { targets: ['perTarget'] } },
  { by: ['tool'], perMinute: 2, match: { targets: ['perTool'] } },
  { perMinute: 3, match: { targets: ['together*'] } },
  { by: ['principal'], concurrent: 1, perMinute: 3, match: { targets: ['both'] } },
  { by: ['principal'], perMinute: 1, match: { targets: ['pool'] } },
  { by: ['target'], perMinute: 3, match: { targets: ['pool'] } },
  { by: ['target'], perMinute: 3, match: { targets: ['poolBack'] } },
  { by: ['principal'], perMinute: 1, match: { targets: ['poolBack'] } },
  { by: ['principal', 'tool'], perMinute: 1, match: { tools: ['matched___a*'] } },
]
const names = [...new Set(limits.flatMap(({ match }) => match.targets ?? [])), 'matched']
  .flatMap((name) => (name === 'together*' ? ['together1', 'together2'] : [name]))
  .concat('free')

const description = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Two', version: '1' },
  servers: [{ url: origin }],
  paths: Object.fromEntries(
    ['a', 'b'].map((operationId) => [
      `/${operationId}`,
      { get: { operationId, responses: { 200: { description: '' } } } },
    ]),
  ),
})

let target: Recorder
let gateway: GatewayProcess
let callers = 0
const { admin } = operatorOf(() => gateway)

const config = (more: object = {}): object => ({
  listen: { port: 0 },
  admin: { port: 0, tools: false },
  inbound: { type: 'apiKey' },
  limits,
  egress: { allow: [target.address] },
  targets: Object.fromEntries(names.map((name) => [name, { openapi: 'two.json' }])),
  ...more,
})

/** A caller who has not called yet, under a name that stands in the usage. */
const newCaller = async (): Promise<Caller & { subject: string }> => {
  const made = await fetch(`${gateway.adminUrl}/api/keys`, {
    method: 'POST',
    headers: bearer(gateway.adminToken),
    body: JSON.stringify({ name: `caller ${++callers}` }),
  })
  const { id, key } = (await made.json()) as { id: string; key: string }
  return { ...callerOf(`${gateway.url}/mcp`, bearer(key)), subject: `key|${id}` }
}

type Answered = Awaited<ReturnType<Caller['call']>>
const isRefused = ({ json: answer }: Answered): boolean => answer.error !== undefined
/** How many of several calls were made, and that the others were refused for this limit. */
const made = (answers: readonly Answered[], limit: string): number => {
  for (const { json: answer } of answers.filter(isRefused)) expect(answer.error.data.limit).toBe(limit)
  return answers.filter((answer) => !isRefused(answer)).length
}
const inTurn = async (times: number, call: () => Promise<Answered>): Promise<Answered[]> => {
  const answers: Answered[] = []
  for (let time = 0; time < times; time++) answers.push(await call())
  return answers
}

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({ config: config(), files: { 'two.json': description(target.origin) } })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.answer = json({ ok: true })
  target.requests.length = 0
})

/** The target answers when it is told to. */
const held = () => {
  const waiting: ServerResponse[] = []
  target.answer = (_request, response) => void waiting.push(response)
  return {
    count: () => waiting.length,
    letGo: (): void => {
      target.answer = json({ ok: true })
      for (const response of waiting.splice(0))
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    },
  }
}

describe('a refusal', () => {
  it('says when to come back: in 2026-07-28 with 429, in 2025-11-25 in the message', async () => {
    const caller = await newCaller()
    expect(made(await inTurn(3, () => caller.call('minute___a')), 'perMinute')).toBe(3)
    const modern = await caller.call('minute___a')
    const legacy = await caller.callLegacy('minute___b')
    expect([modern.status, legacy.status]).toEqual([429, 200])
    for (const { headers, json: answer } of [modern, legacy]) {
      const { retryAfter } = answer.error.data
      expect(answer).toEqual({
        jsonrpc: '2.0',
        id: 1,
        error: {
          code: -32603,
          message: 'Too many of these came at once. Come back later.',
          data: { retryAfter, limit: 'perMinute' },
        },
      })
      expect(Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 60).toBe(true)
      expect(headers.get('retry-after')).toBe(String(retryAfter))
    }
  })

  it('is sent to nobody, is no usage, and costs nothing', async () => {
    const caller = await newCaller()
    const answers = await inTurn(8, () => caller.call('minute___a'))
    expect(made(answers, 'perMinute')).toBe(3)
    expect(target.requests).toHaveLength(3)
    const lines = spooled(gateway.dir).filter(({ call }) => call.subject === caller.subject)
    expect(lines.map(({ kind }) => kind).toSorted()).toEqual(['b', 'b', 'b', 'e', 'e', 'e'])
    const counted = async (): Promise<number> => {
      const { rows } = (await (await admin('/api/usage?by=principal')).json()) as { rows: Record<string, unknown>[] }
      return Number(rows.find((row) => JSON.stringify(row).includes(caller.subject))?.['invocations'] ?? 0)
    }
    await until('the usage is counted', async () => (await counted()) >= 3, patienceMs * 2)
    expect(await counted()).toBe(3)
  })

  it('is not for lists, for other targets, nor for tools that there are not', async () => {
    const caller = await newCaller()
    await inTurn(4, () => caller.call('minute___a'))
    expect((await caller.modern('tools/list')).status).toBe(200)
    expect((await caller.call('minute___none')).json.error.code).toBe(-32602)
    expect(made(await inTurn(5, () => caller.call('free___a')), 'none')).toBe(5)
  })

  it.each(['pool', 'poolBack'])('takes nothing from others, whichever of the limits of %s it is', async (pool) => {
    const [alice, bob, carol, dave] = [await newCaller(), await newCaller(), await newCaller(), await newCaller()]
    expect(made(await inTurn(6, () => alice.call(`${pool}___a`)), 'perMinute')).toBe(1)
    for (const one of [bob, carol]) expect(made([await one.call(`${pool}___a`)], 'perMinute')).toBe(1)
    // the three points of the target are gone now, and only now
    expect(made([await dave.call(`${pool}___a`)], 'perMinute')).toBe(0)
  })
})

describe('a limit counts', () => {
  it('each principal apart, whatever tool and era it calls', async () => {
    const [alice, bob] = [await newCaller(), await newCaller()]
    const mixed = [
      await alice.call('minute___a'),
      await alice.callLegacy('minute___b'),
      await alice.call('minute___b'),
      await alice.call('minute___a'),
    ]
    expect(made(mixed, 'perMinute')).toBe(3)
    expect(made([await bob.call('minute___a')], 'perMinute')).toBe(1)
  })

  it('one principal however it comes: sessions and ids make no new ones', async () => {
    const caller = await newCaller()
    const sessions = await Promise.all([1, 2, 3, 4, 5].map(() => caller.initialize()))
    const answers = await Promise.all(sessions.map((session) => caller.callLegacy('minute___a', {}, session)))
    expect(made(answers, 'perMinute')).toBe(3)
  })

  it('each target, all callers together', async () => {
    const callers = await Promise.all([1, 2, 3].map(newCaller))
    const answers = await Promise.all(
      callers.flatMap((caller) => [caller.call('perTarget___a'), caller.call('perTarget___b')]),
    )
    expect(made(answers, 'perMinute')).toBe(4)
  })

  it('each tool, all callers together', async () => {
    const [alice, bob] = [await newCaller(), await newCaller()]
    for (const tool of ['perTool___a', 'perTool___b']) {
      const answers = await Promise.all([alice.call(tool), bob.call(tool), alice.call(tool), bob.call(tool)])
      expect(made(answers, 'perMinute')).toBe(2)
    }
  })

  it('everything together that it is about, when it names nothing to count by', async () => {
    const [alice, bob] = [await newCaller(), await newCaller()]
    const tools = ['together1___a', 'together2___b']
    const answers = await Promise.all(tools.flatMap((tool) => [alice.call(tool), bob.call(tool)]))
    expect(made(answers, 'perMinute')).toBe(3)
  })

  it('only the tools that it names', async () => {
    const caller = await newCaller()
    expect(made(await inTurn(2, () => caller.call('matched___a')), 'perMinute')).toBe(1)
    expect(made(await inTurn(3, () => caller.call('matched___b')), 'perMinute')).toBe(3)
  })

  it('a second at a time', async () => {
    const caller = await newCaller()
    const answers = await Promise.all(Array.from({ length: 40 }, () => caller.call('second___a')))
    // as many seconds as the forty take, at two each
    expect(made(answers, 'perSecond')).toBeGreaterThanOrEqual(2)
    const refused = answers.filter(isRefused)
    expect(refused.length).toBeGreaterThan(0)
    for (const { json: answer } of refused) expect(answer.error.data.retryAfter).toBe(1)
    await until('there are points again', async () => !isRefused(await caller.call('second___a')), patienceMs)
  })

  it('calls at once: their places are free again when they end, in whatever way', async () => {
    const caller = await newCaller()
    const other = await newCaller()
    const gate = held()
    const open = [caller.call('atOnce___a'), caller.callLegacy('atOnce___b')]
    await until('both are under way', () => gate.count() === 2)
    const refused = [await caller.call('atOnce___a'), await caller.callLegacy('atOnce___a')]
    expect(made(refused, 'concurrent')).toBe(0)
    expect(refused[0]?.status).toBe(429)
    expect(refused[0]?.headers.get('retry-after')).toBe('1')
    const others = other.call('atOnce___a')
    await until('the other’s is under way', () => gate.count() === 3)
    gate.letGo()
    expect(made([...(await Promise.all(open)), await others], 'concurrent')).toBe(3)

    for (const [how, answer] of [
      ['an error', json({ no: 1 }, 500)],
      [
        'a broken connection',
        ((_request, _response, incoming) => void incoming.socket.destroy()) as Recorder['answer'],
      ],
    ] as const) {
      target.answer = answer
      const answers = await inTurn(3, () => caller.call('atOnce___a'))
      expect([how, made(answers, 'concurrent')]).toEqual([how, 3])
    }
    expect(made(await inTurn(3, () => caller.call('atOnce___a', { wrong: true })), 'concurrent')).toBe(3)
  })

  it('calls at once: a caller who hangs up leaves the place', async () => {
    const caller = await newCaller()
    const gate = held()
    const abort = new AbortController()
    const { headers, body } = {
      headers: { 'content-type': 'application/json', ...caller.fields, 'mcp-protocol-version': '2025-11-25' },
      body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'atOnce___a', arguments: {} } },
    }
    const open = [1, 2].map(() =>
      fetch(caller.mcp, { method: 'POST', headers, body: JSON.stringify(body), signal: abort.signal }).catch(
        () => 'gone',
      ),
    )
    await until('both are under way', () => gate.count() === 2)
    expect(made([await caller.call('atOnce___a')], 'concurrent')).toBe(0)
    abort.abort()
    await Promise.all(open)
    target.answer = json({ ok: true })
    await until('there is a place', async () => !isRefused(await caller.call('atOnce___a')), patienceMs)
    gate.letGo()
  })

  it('no point for what found no place', async () => {
    const caller = await newCaller()
    const gate = held()
    const first = caller.call('both___a')
    await until('it is under way', () => gate.count() === 1)
    expect(made(await inTurn(5, () => caller.call('both___a')), 'concurrent')).toBe(0)
    gate.letGo()
    await first
    // nor a place for what found no point
    expect(made(await inTurn(5, () => caller.call('both___a')), 'perMinute')).toBe(2)
  })
})

describe('a change of the configuration', () => {
  it('keeps what was counted while the limits stay, and takes new limits at once', async () => {
    const caller = await newCaller()
    expect(made(await inTurn(4, () => caller.call('minute___a')), 'perMinute')).toBe(3)
    writeIn(gateway.dir, 'gateway.config.json', config({ views: { seen: { targets: ['free'] } } }))
    await until('the view is there', async () => (await fetch(`${caller.mcp}/seen`)).status === 401, patienceMs)
    expect(made([await caller.call('minute___a')], 'perMinute')).toBe(0)
    writeIn(gateway.dir, 'gateway.config.json', config({ limits: [{ by: ['principal'], perMinute: 1 }] }))
    await until('the old ones are over', async () => !isRefused(await caller.call('minute___a')), patienceMs)
    expect(made([await caller.call('free___a')], 'perMinute')).toBe(0)
    writeIn(gateway.dir, 'gateway.config.json', config({ limits: [] }))
    await until('there are none', async () => !isRefused(await caller.call('free___a')), patienceMs)
    expect(made(await inTurn(6, () => caller.call('minute___a')), 'perMinute')).toBe(6)
  })
})
