/** MCP servers that mean harm, or know no better: each bounded, each answered, nothing of one caller at another. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { Secret } from '../../../src/core/secret.ts'
import { ConnectionRequired, type CredentialProvider } from '../../../src/credentials/provider.ts'
import type { Notice } from '../../../src/transports/transport.ts'
import { type Answer, type Recorder, startRecorder } from '../../support/recorder.ts'
import {
  bob,
  bodyOf,
  callOf,
  delivery,
  legacyServer,
  openRoom,
  request,
  type Room,
  rpcOf,
  sse,
  targetAt,
  until,
} from './mcp-support.ts'

let recorder: Recorder
let room: Room
beforeAll(async () => {
  recorder = await startRecorder()
})
afterAll(() => recorder.close())
beforeEach(() => {
  room = openRoom()
  recorder.requests.length = 0
})
afterEach(() => room.close())

const target = (changes = {}) => targetAt(`${recorder.origin}/mcp`, changes)
const call = async (changes = {}, credential?: CredentialProvider) =>
  room.transport(target(), credential).send(callOf(target(), 'tool'), delivery(changes))
const codeOf = async (sent: Promise<unknown>): Promise<string> => {
  try {
    return JSON.stringify(await sent)
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error)
  }
}

type Rpc = Parameters<Parameters<typeof legacyServer>[0]>[0]
type Http = Parameters<Answer>[1]

const json = (response: Http, body: object, status = 200, headers = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}
const stream = (response: Http): Http => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  return response
}
const result = (id: Rpc['id'], text: string): object => ({ id, result: { content: [{ type: 'text', text }] } })

describe('an answer to a call', () => {
  it.each<[string, string, (rpc: Rpc, response: Http) => void]>([
    [
      'one event without end',
      'target_bad_answer',
      (_rpc, response) => {
        stream(response).write('data: ')
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(65_536)));
        }
        response.on('drain', more)
        more()
      },
    ],
    [
      'a result larger than is read',
      'target_bad_answer',
      ({ id }, response) => json(response, { jsonrpc: '2.0', ...result(id, 'x'.repeat(limits.responseBodyBytes)) }),
    ],
    [
      'an answer to what was not asked',
      'target_bad_answer',
      (_rpc, response) => json(response, { jsonrpc: '2.0', ...result(999, 'no') }),
    ],
    [
      'a stream of answers to what was not asked',
      'target_broke_off',
      (_rpc, response) =>
        void stream(response).end(
          sse(result(999, 'no'), result('0x1', 'no'), { id: 5, error: { code: 1, message: '' } }),
        ),
    ],
    [
      'a stream that ends without an answer',
      'target_broke_off',
      (_rpc, response) => void stream(response).end(': nothing\n\n'),
    ],
    [
      'a stream that breaks',
      'target_broke_off',
      (_rpc, response) => void stream(response).write(': nothing\n\n', () => response.destroy()),
    ],
    [
      'no JSON',
      'target_bad_answer',
      (_rpc, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"json'),
    ],
    [
      'a page',
      'target_bad_answer',
      (_rpc, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
    ],
    [
      'a redirect',
      'target_redirect',
      (_rpc, response) => void response.writeHead(307, { location: '/elsewhere' }).end(),
    ],
    [
      'requests without end',
      'target_bad_answer',
      (_rpc, response) =>
        void stream(response).write(sse(...Array.from({ length: 5_000 }, (_, id) => ({ id, method: 'ping' })))),
    ],
  ])('that is %s ends in %s', async (_what, code, answer) => {
    recorder.answer = legacyServer((rpc, _recorded, response) => answer(rpc, response))
    expect(await codeOf(call())).toBe(code)
    expect(recorder.requests.every(({ url }) => url === '/mcp')).toBe(true)
    expect(recorder.requests.length).toBeLessThan(limits.mcpServerRequests + 20)
  })

  it('may be bytes that are no UTF-8, and is still text', async () => {
    recorder.answer = legacyServer(({ id }, _recorded, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const [head = '', tail = ''] = JSON.stringify({ jsonrpc: '2.0', ...result(id, '@') }).split('@')
      response.end(Buffer.concat([Buffer.from(head), Buffer.from([0xff, 0xc3]), Buffer.from(tail)]))
    })
    expect(bodyOf(await call())['content'][0].text).toBe('\ufffd\ufffd')
  })

  it('comes through with what the SDK does not know', async () => {
    recorder.answer = legacyServer(({ id }, _recorded, response) =>
      json(response, { jsonrpc: '2.0', id, result: { content: [{ type: 'hologram', depth: 3 }], later: true } }),
    )
    expect(bodyOf(await call())).toEqual({ content: [{ type: 'hologram', depth: 3 }], later: true })
  })

  it('may be a status, which is told as it is', async () => {
    recorder.answer = legacyServer((_rpc, _recorded, response) => json(response, { error: 'broken' }, 503))
    const { response } = await call()
    expect([response.status, response.body.toString()]).toEqual([503, '{"error":"broken"}'])
  })

  it('may be a wish that its user opens a page', async () => {
    recorder.answer = legacyServer(({ id }, _recorded, response) => {
      const pages = [
        { mode: 'url', url: 'https://sign.in/', message: 'Sign in.', elicitationId: 'e' },
        { mode: 'url', url: 'javascript:alert(1)', message: 'No.' },
      ]
      json(response, { jsonrpc: '2.0', id, error: { code: -32042, message: 'Sign in', data: { elicitations: pages } } })
    })
    expect(bodyOf(await call({ capabilities: ['elicitation.url'] }))).toEqual({
      resultType: 'input_required',
      inputRequests: {
        page0: {
          method: 'elicitation/create',
          params: { mode: 'url', url: 'https://sign.in/', message: 'Sign in.', elicitationId: 'e' },
        },
      },
    })
    expect(bodyOf(await call())['content'][0].text).toBe(
      'The target refused the call (-32042): Sign in\nhttps://sign.in/',
    )
  })
})

describe('a session', () => {
  let count = 0
  const counting: Answer = (recorded, response, incoming) => {
    if (rpcOf(recorded).method === 'initialize') count++
    legacyServer(
      ({ id }, { headers }) => json(response, { jsonrpc: '2.0', ...result(id, String(headers['mcp-session-id'])) }),
      `s-${count}`,
    )(recorded, response, incoming)
  }
  beforeEach(() => {
    count = 0
  })
  const sessionOf = async (changes = {}): Promise<string> => bodyOf(await call(changes))['content'][0].text

  it('is kept for its caller and never another’s', async () => {
    recorder.answer = counting
    expect(await sessionOf()).toBe('s-1')
    expect(await sessionOf({ caller: bob })).toBe('s-2')
    expect(await sessionOf()).toBe('s-1')
    expect(await sessionOf({ caller: { ...bob, client: 'other' } })).toBe('s-3')
    expect(await sessionOf({ capabilities: ['sampling'] })).toBe('s-4')
    expect(await sessionOf({ caller: bob })).toBe('s-2')
  })

  it('is one call’s at a time where the server may ask', async () => {
    recorder.answer = counting
    const capabilities = ['elicitation']
    const both = await Promise.all([sessionOf({ capabilities }), sessionOf({ capabilities })])
    expect(both.toSorted()).toEqual(['s-1', 's-2'])
    expect(['s-1', 's-2']).toContain(await sessionOf({ capabilities }))
  })

  it('is bounded in number for each caller', async () => {
    const waiting: Http[] = []
    recorder.answer = legacyServer((_rpc, _recorded, response) => void waiting.push(response))
    const capabilities = ['elicitation']
    const calls = Array.from({ length: limits.mcpSessionsPerCaller + 1 }, () => codeOf(call({ capabilities })))
    expect(await Promise.race(calls)).toBe('overloaded')
    await until(() => waiting.length === limits.mcpSessionsPerCaller)
    for (const response of waiting) response.destroy()
    expect((await Promise.all(calls)).filter((code) => code === 'overloaded')).toHaveLength(1)
  })

  it.each([
    [404, 'Not Found'],
    [400, 'Bad Request: No valid session ID provided'],
  ])('that the server has forgotten (%i) is begun anew, once', async (status, message) => {
    recorder.answer = counting
    expect(await sessionOf()).toBe('s-1')
    recorder.answer = (recorded, response, incoming) => {
      if (recorded.headers['mcp-session-id'] === 's-1')
        json(response, { error: { code: -32001, message }, id: null }, status)
      else counting(recorded, response, incoming)
    }
    expect(await sessionOf()).toBe('s-2')
    recorder.answer = (recorded, response, incoming) => {
      if (recorded.headers['mcp-session-id'] !== undefined && recorded.method === 'POST')
        json(response, { error: message }, status)
      else counting(recorded, response, incoming)
    }
    const { response } = await call()
    expect(response.status).toBe(status)
    expect(recorder.requests.filter((sent) => rpcOf(sent).method === 'tools/call').length).toBeLessThanOrEqual(6)
  })

  it('with an id that cannot be sent back is none', async () => {
    recorder.answer = legacyServer(() => undefined, 'a b')
    expect(await codeOf(call())).toBe('target_bad_answer')
  })
})

describe('a server’s question', () => {
  const asking =
    (questions: number): Answer =>
    (recorded, response, incoming) => {
      const rpc = rpcOf(recorded)
      if (rpc.id !== undefined && rpc.method === undefined) {
        answers.push(rpc)
        response.writeHead(202).end()
        if (answers.length === questions)
          open?.end(sse(result(1, JSON.stringify(answers.map(({ result: given, error }) => given ?? error)))))
        return
      }
      legacyServer((_call, _recorded, sent) => {
        open = stream(sent)
        const params = { message: 'Name?', requestedSchema: { type: 'object', properties: {} } }
        open.write(sse(...Array.from({ length: questions }, (_, id) => ({ id, method: 'elicitation/create', params }))))
      })(recorded, response, incoming)
    }
  const answers: Rpc[] = []
  let open: Http | undefined
  beforeEach(() => {
    answers.length = 0
  })

  it('is refused where the client did not say that it can be asked', async () => {
    recorder.answer = asking(1)
    expect(bodyOf(await call())['content'][0].text).toContain('-32601')
  })

  it('is one of a few: more are refused', async () => {
    recorder.answer = asking(limits.mcpQuestions + 4)
    const capabilities = ['elicitation'] as const
    const asked = bodyOf(await call({ capabilities }))
    await until(() => answers.length === 4)
    const responses = Object.fromEntries(
      Object.keys(asked['inputRequests']).map((key) => [key, { action: 'accept', content: {} }]),
    )
    let step = bodyOf(await call({ capabilities, answers: { responses, state: asked['requestState'] } }))
    while (step['resultType'] === 'input_required')
      step = bodyOf(await call({ capabilities, answers: { responses: {}, state: step['requestState'] } }))
    expect(answers).toHaveLength(limits.mcpQuestions + 4)
    expect(answers.filter(({ error }) => error !== undefined)).toHaveLength(4)
  })

  it('without an answer is turned down', async () => {
    recorder.answer = asking(1)
    const capabilities = ['elicitation'] as const
    const asked = bodyOf(await call({ capabilities }))
    const done = bodyOf(await call({ capabilities, answers: { responses: {}, state: asked['requestState'] } }))
    expect(done['content'][0].text).toBe('[{"action":"cancel"}]')
  })
})

describe('a credential', () => {
  const token = 'tok-1234567890'
  const provider = (changes: Partial<CredentialProvider> = {}): CredentialProvider => ({
    kind: 'test',
    place: { in: 'header', name: 'authorization' },
    apply: (sent) => ({
      request: { ...sent, headers: new Map(sent.headers).set('authorization', `Bearer ${token}`) },
      secrets: [new Secret(token)],
      fingerprint: 'f',
    }),
    ...changes,
  })

  it('goes with every request, and with what was asked', async () => {
    recorder.answer = legacyServer(({ id }, _recorded, response) =>
      json(response, { jsonrpc: '2.0', ...result(id, 'ok') }),
    )
    const { secrets } = await call({}, provider())
    expect(recorder.requests.every(({ headers }) => headers.authorization === `Bearer ${token}`)).toBe(true)
    expect(secrets.some((secret) => secret.equals(token))).toBe(true)
  })

  it('is renewed once when it is refused', async () => {
    let renewals = 0
    recorder.answer = (recorded, response, incoming) => {
      if (renewals === 0) json(response, {}, 401)
      else
        legacyServer(({ id }) => json(response, { jsonrpc: '2.0', ...result(id, 'ok') }))(recorded, response, incoming)
    }
    const renew = async (): Promise<boolean> => ++renewals > 0
    expect(bodyOf(await call({}, provider({ renew })))['content'][0].text).toBe('ok')
    expect(renewals).toBe(1)
  })

  it('that only the user can give is asked for, through the SDK unharmed', async () => {
    const needed = new ConnectionRequired('c', 'up', [], 'pending')
    recorder.answer = legacyServer(({ id }, _recorded, response) =>
      json(response, { jsonrpc: '2.0', ...result(id, 'ok') }),
    )
    await expect(call({}, provider({ apply: () => Promise.reject(needed) }))).rejects.toBe(needed)
    recorder.answer = (_recorded, response) => json(response, {}, 401)
    await expect(call({}, provider({ renew: () => Promise.reject(needed) }))).rejects.toBe(needed)
    recorder.answer = (_recorded, response) =>
      json(response, {}, 403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="more"' })
    await expect(call({}, provider({ stepUp: async () => needed }))).rejects.toBe(needed)
  })

  it('is in no error and in no notice, however the server echoes it', async () => {
    recorder.answer = legacyServer(({ id, params }, _recorded, response) => {
      stream(response).write(
        sse(
          { method: 'notifications/message', params: { level: 'info', data: { token } } },
          {
            method: 'notifications/progress',
            params: { progressToken: params?.['_meta']?.progressToken, progress: 1, message: token },
          },
        ),
      )
      response.end(sse({ id, error: { code: -32602, message: `No ${token}`, data: { token } } }))
    })
    const notices: Notice[] = []
    const sent = room
      .transport(target(), provider())
      .send(
        request(target(), 'prompts/get', { name: 'p' }),
        delivery({ onNotice: (notice) => void notices.push(notice) }),
      )
    const error = await sent.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(GatewayError)
    const { message, data } = error as GatewayError
    expect([message, data]).toEqual(['The target: No [secret]', { token: '[secret]' }])
    expect(notices).toHaveLength(2)
    expect(JSON.stringify(notices)).not.toContain(token)
  })
})

describe('a listing', () => {
  const options = (credential?: CredentialProvider) => ({
    target: target(),
    credential,
    egress: room.egress,
    refreshMs: 10_000,
  })
  const lists =
    (page: (cursor: string | undefined) => object): Answer =>
    (...http) =>
      legacyServer(({ id, params }, _recorded, response) =>
        json(response, { jsonrpc: '2.0', id, result: page(params?.['cursor']) }),
      )(...http)

  it.each<[string, (cursor: string | undefined) => object]>([
    ['the same cursor', () => ({ tools: [], nextCursor: 'same' })],
    ['new cursors', (cursor = '') => ({ tools: [], nextCursor: `${cursor}x` })],
  ])('with %s without end is refused', async (_what, page) => {
    recorder.answer = lists(page)
    expect(await codeOf(room.upstreams.listing(options()))).toBe('target_bad_answer')
    expect(recorder.requests.length).toBeLessThan(limits.mcpListPages + 20)
  })

  it('larger than is read is refused', async () => {
    const tools = [{ name: 'a', description: 'x'.repeat(6 * 1024 * 1024) }]
    recorder.answer = lists((cursor = '') => ({ tools, nextCursor: `${cursor}x` }))
    expect(await codeOf(room.upstreams.listing(options()))).toBe('over_limit')
  })

  it('is sorted, so that another order changes nothing', async () => {
    recorder.answer = lists(() => ({ tools: [{ name: 'b' }, { name: 'a', bad: 1 }] }))
    const bytes = await room.upstreams.listing(options())
    expect(Buffer.from(bytes).toString()).toContain('"tools":[{"name":"a","bad":1},{"name":"b"}]')
  })

  it('that needs a user says what to do instead', async () => {
    const delegated: CredentialProvider = {
      kind: 'oauth2',
      place: { in: 'header', name: 'authorization' },
      apply: () => Promise.reject(new Error('must not be asked')),
      connect: () => Promise.reject(new Error('must not be asked')),
    }
    recorder.answer = (_recorded, response) => json(response, {}, 401)
    const failure = await room.upstreams.listing(options(delegated)).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'bad_description' })
    expect((failure as Error).message).toContain('mcp.tools')
  })
})
