/** A call that the target answers with 401: the credential is renewed and the call made once more, or not. */
import { describe, expect, it } from 'vitest'
import { type CallAnswer, callTool } from '../../../src/call/call.ts'
import type { CallRoom } from '../../../src/call/metered.ts'
import { httpTransport } from '../../../src/transports/http.ts'
import type { Route, Snapshot } from '../../../src/call/snapshot.ts'
import { Catalogue } from '../../../src/catalogue/catalogue.ts'
import { Cancellation } from '../../../src/core/cancel.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import type { InboundResponse, OutboundRequest, OutcomeKind, Tool } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { ConnectionRequired, type CredentialProvider } from '../../../src/credentials/provider.ts'
import { principal, target } from '../../support/oauth-room.ts'

/** Answers by status, in turn; each echoes what it was sent. */
class Api {
  readonly sent: OutboundRequest[] = []
  readonly #statuses: readonly number[]

  constructor(...statuses: number[]) {
    this.#statuses = statuses
  }

  readonly send = async (request: OutboundRequest): Promise<InboundResponse> => {
    const status = this.#statuses[this.sent.length] ?? 500
    this.sent.push(request)
    const body = Buffer.from(`${status} for token-0 and ${request.headers.get('authorization')}`)
    return { status, headers: new Map(), body, cut: false }
  }
}

interface Made {
  readonly api: Api
  readonly renewals: string[]
  readonly endings: OutcomeKind[]
  readonly answer: Promise<CallAnswer>
}

function call(api: Api, credential: Partial<CredentialProvider> = {}): Made {
  const renewals: string[] = []
  const endings: OutcomeKind[] = []
  let number = 0
  const provider: CredentialProvider = {
    kind: 'test',
    place: { in: 'header', name: 'Authorization' },
    apply(request) {
      const token = new Secret(`token-${number}`)
      const headers = new Map(request.headers).set('authorization', token.reveal())
      return { request: { ...request, headers }, secrets: [token], fingerprint: `print-${number}` }
    },
    async renew(_who, _target, rejected) {
      renewals.push(rejected)
      number++
      return true
    },
    ...credential,
  }
  const tool: Tool = {
    name: 'api___post',
    target,
    operation: { id: 'post', label: 'POST /x', effect: 'write', idempotent: false, binding: null },
    definition: Buffer.from('{"name":"api___post","inputSchema":{"type":"object"}}'),
  }
  const route: Route = {
    target,
    adapter: {
      kind: 'test',
      load: () => Promise.reject(new Error('not loaded here')),
      prepare: () => ({ method: 'POST', url: 'https://api.example.com/x', headers: new Map(), body: '{"pay":1}' }),
      interpret: (_operation, { status, body }) => ({
        isError: status >= 400,
        status,
        content: [{ type: 'text', text: body.toString() }],
      }),
    },
    credential: provider,
    transport: httpTransport(target, provider, {
      check: (url) => new URL(url),
      channel: () => ({
        send: api.send,
        open: () => Promise.reject(new Error('nothing is streamed here')),
        close: async () => undefined,
      }),
      close: async () => undefined,
    }),
  }
  const catalogue = new Catalogue([tool], { modern: '' })
  const snapshot = {
    find: (_view: string, _caller: unknown, name: string) => catalogue.find(name),
    throttle: { enter: () => () => undefined },
    route: () => route,
  } as unknown as Snapshot
  const room = {
    meter: { begin: async () => ({ id: 'u1', end: async () => undefined }) },
    metrics: { call: (_target: string, kind: OutcomeKind) => void endings.push(kind) },
    clock: systemClock,
    load: { inFlight: 0 },
    quotas: { enter: () => undefined },
    billed: new Set(['ok']),
  } as unknown as CallRoom
  const ask = {
    name: tool.name,
    view: '',
    arguments: {},
    bytesIn: 2,
    header: () => undefined,
    messageId: 1,
    capabilities: [],
  }
  return { api, renewals, endings, answer: callTool(room, snapshot, principal('alice'), ask, new Cancellation()) }
}

const textOf = ({ outcome }: CallAnswer): string => JSON.stringify(outcome.content)

describe('a call answered with 401', () => {
  it('is made once more with a renewed token, whatever its method, and neither token is shown', async () => {
    const made = call(new Api(401, 200))
    const answer = await made.answer
    expect(answer.outcome.status).toBe(200)
    expect(made.api.sent.map(({ body, headers }) => [body, headers.get('authorization')])).toEqual([
      ['{"pay":1}', 'token-0'],
      ['{"pay":1}', 'token-1'],
    ])
    expect(made.renewals).toEqual(['print-0'])
    expect(textOf(answer)).toContain('200 for [secret] and [secret]')
    expect(made.endings).toEqual(['ok'])
  })

  it('twice is an answer like any other', async () => {
    const made = call(new Api(401, 401, 200))
    expect((await made.answer).outcome).toMatchObject({ status: 401, isError: true })
    expect(made.api.sent).toHaveLength(2)
    expect(made.renewals).toHaveLength(1)
  })

  it.each<[string, number, Partial<CredentialProvider>]>([
    ['whose credential has nothing newer', 401, { renew: async () => false }],
    ['whose credential cannot be renewed', 401, { renew: undefined } as unknown as Partial<CredentialProvider>],
    ['that is really a 403', 403, {}],
  ])('%s is not made again', async (_, status, credential) => {
    const made = call(new Api(status, 200), credential)
    expect((await made.answer).outcome.status).toBe(status)
    expect(made.api.sent).toHaveLength(1)
  })

  it('asks the user to sign in when only that helps, and is metered so', async () => {
    const made = call(new Api(401), {
      renew: () => Promise.reject(new ConnectionRequired('cred', 'api', ['read'], 'pending')),
    })
    await expect(made.answer).rejects.toMatchObject({ code: 'connection_required', pendingId: 'pending' })
    expect(made.endings).toEqual(['unreached'])
  })

  it('fails as its renewal does, and the model hears why', async () => {
    const made = call(new Api(401), { renew: () => Promise.reject(new GatewayError('token_unavailable')) })
    expect((await made.answer).outcome).toMatchObject({ isError: true })
    expect(made.endings).toEqual(['unreached'])
  })
})
