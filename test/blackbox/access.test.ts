/** Who may see and call what: rules that filter lists and calls alike, and tenants that cannot tell each other’s things from none. */
import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bearer, type Caller, callerOf, shownOf, type Shown, tokenOf } from '../support/callers.ts'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider, type TokenClaims } from '../support/identity-provider.ts'
import { modernRequest, post } from '../support/mcp.ts'
import { patienceMs } from '../support/operator.ts'
import { petstore, petTools } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
import { legacyHeaders, messagesIn, openEvents } from '../support/wire.ts'

let target: Recorder
let provider: IdentityProvider
let foreign: IdentityProvider
let gateway: GatewayProcess

beforeAll(async () => {
  target = await startRecorder()
  provider = await startIdentityProvider()
  foreign = await startIdentityProvider()
})
afterAll(async () => {
  await target.close()
  await provider.close()
  await foreign.close()
})
beforeEach(() => {
  target.requests.length = 0
})

const mcp = (): string => `${gateway.url}/mcp`
const as = async (claims: TokenClaims, by = provider): Promise<Caller> =>
  callerOf(mcp(), bearer(await tokenOf(by, mcp(), claims)))

const isAbsent = (answer: { json: any }): boolean => {
  if (answer.json.result !== undefined) return false
  expect(answer.json.error).toEqual({ code: -32602, message: 'There is no tool of this name. Ask tools/list again.' })
  return true
}

describe('access rules', () => {
  const config = (access: object[]): object => ({
    listen: { port: 0 },
    admin: { port: 0, tools: false },
    inbound: { type: 'jwt', discoveryUrl: provider.discoveryUrl },
    egress: { allow: [target.address, provider.address] },
    access,
  })
  const rules = [
    { tools: ['pets___get*', 'pets___list*'], effect: 'allow' },
    { scopes: ['write'], tools: ['pets___add*', 'pets___put*'], effect: 'allow' },
    { scopes: ['write', 'delete'], tools: ['pets___delete*'], effect: 'allow' },
    { claims: { groups: ['staff', 'operators'] }, tools: ['pets___*'], effect: 'allow' },
    { claims: { groups: 'staff', verified: true }, tools: ['*___login'], effect: 'deny' },
    { principals: ['*|bob', '*|robot/*'], tools: ['*'], effect: 'deny' },
    { principals: ['*|carol'], scopes: ['write'], claims: { level: 3 }, tools: ['pets___login'], effect: 'allow' },
  ]

  beforeAll(async () => {
    gateway = await startGatewayProcess({
      config: config(rules),
      files: { 'specs/pets.json': petstore(target.origin) },
    })
  })
  afterAll(() => gateway.remove())

  const named = (...operations: readonly string[]): string[] => operations.map((name) => `pets___${name}`).toSorted()
  const reading = ['getPet', 'getPhoto', 'listPets']

  it.each<[who: string, claims: TokenClaims, sees: readonly string[]]>([
    ['anyone', { sub: 'anyone' }, named(...reading)],
    ['one with a scope', { sub: 'alice', scope: 'write' }, named(...reading, 'addPet', 'putPhoto')],
    ['one with one scope of two', { sub: 'alice', scope: 'delete' }, named(...reading)],
    ['one with both', { sub: 'alice', scope: 'delete write' }, named(...reading, 'addPet', 'putPhoto', 'deletePet')],
    ['one with a claim', { sub: 'alice', groups: 'operators' }, petTools],
    ['one with a claim among several', { sub: 'alice', groups: ['x', 'staff'] }, petTools],
    ['one with a claim that is like it', { sub: 'alice', groups: 'staffing' }, named(...reading)],
    [
      'one from whom something is taken again',
      { sub: 'alice', groups: ['operators', 'staff'], verified: true },
      petTools.filter((tool) => tool !== 'pets___login'),
    ],
    ['one with half of such a rule', { sub: 'alice', groups: ['staff'], verified: 'true' }, petTools],
    ['one who is named', { sub: 'carol', scope: 'write', level: 3 }, named(...reading, 'addPet', 'putPhoto', 'login')],
    ['one who is named, without the claim', { sub: 'carol', scope: 'write' }, named(...reading, 'addPet', 'putPhoto')],
    ['one who is kept out', { sub: 'bob', groups: 'staff', scope: 'write delete' }, []],
    ['one whom a pattern keeps out', { sub: 'robot/a/b', groups: 'staff' }, []],
  ])('%s is listed what can be called, and nothing else', async (_who, claims, sees) => {
    const caller = await as(claims)
    expect([await caller.list(), await caller.listLegacy()]).toEqual([sees, sees])
    for (const call of [caller.call, caller.callLegacy]) {
      const callable: string[] = []
      for (const tool of petTools) if (!isAbsent(await call(tool, { petId: '7', name: 'x' }))) callable.push(tool)
      expect(callable).toEqual(sees)
    }
    const absent = shownOf(await caller.call('pets___nothing'))
    for (const tool of petTools.filter((tool) => !sees.includes(tool)))
      expect(shownOf(await caller.call(tool, { petId: '7' }))).toEqual(absent)
  })

  it('what is not allowed never reaches the target and is no usage', async () => {
    const bob = await as({ sub: 'bob' })
    for (const tool of petTools) await bob.call(tool, { petId: '7' })
    expect(target.requests).toEqual([])
    // what bob has listed is his, and all that he has
    const headers = bearer(gateway.adminToken)
    const usage = await fetch(`${gateway.adminUrl}/api/usage?by=principal,target,meter`, { headers })
    const { rows } = (await usage.json()) as { rows: { principal: string; meter: string }[] }
    expect(rows.filter(({ principal, meter }) => principal.endsWith('|bob') && meter === 'call')).toEqual([])
  })

  it('a change of the rules is told to open streams, and is in force for tokens that were seen before', async () => {
    const alice = await as({ sub: 'alice' })
    expect(await alice.list()).toEqual(named(...reading))
    const { headers, body } = modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }, 's')
    const subscription = await openEvents(mcp(), {
      method: 'POST',
      headers: { ...headers, ...alice.fields },
      body: JSON.stringify(body),
    })
    const stream = await openEvents(mcp(), {
      headers: {
        ...legacyHeaders('2025-11-25', await alice.initialize()),
        ...alice.fields,
        accept: 'text/event-stream',
      },
    })
    await until('the subscription is there', () => subscription.messages().length === 1)
    writeIn(gateway.dir, 'gateway.config.json', config([{ tools: ['pets___login'], effect: 'allow' }]))
    const told = (messages: readonly { method?: string }[]): boolean =>
      messages.some(({ method }) => method === 'notifications/tools/list_changed')
    await until('both have heard', () => told(subscription.messages()) && told(stream.messages()), patienceMs)
    expect([await alice.list(), await alice.listLegacy()]).toEqual([['pets___login'], ['pets___login']])
    expect(isAbsent(await alice.call('pets___getPet', { petId: '7' }))).toBe(true)
    await subscription.close()
    await stream.close()
    writeIn(gateway.dir, 'gateway.config.json', config([]))
    await until('there are no rules any more', async () => (await alice.list()).length === petTools.length, patienceMs)
  })
})

/** A tool that asks its caller before it answers, and one that does not. */
const description = (origin: string): object => {
  const content = { 'application/json': {}, 'application/vnd.toolgate.result+json': {} }
  const operation = (operationId: string) => ({
    [`/${operationId}`]: { get: { operationId, responses: { 200: { description: 'Fine', content } } } },
  })
  return {
    openapi: '3.1.0',
    info: { title: 'Tools', version: '1' },
    servers: [{ url: origin }],
    paths: { ...operation('asks'), ...operation('plain') },
  }
}

const question = {
  resultType: 'input_required',
  requestState: 'kept by the target',
  inputRequests: {
    name: {
      method: 'elicitation/create',
      params: { message: 'Your name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } },
    },
  },
}

describe.each<[how: string, tenants: () => object, acme: TokenClaims, beta: TokenClaims, by: () => IdentityProvider]>([
  [
    'two issuers',
    () => [
      { type: 'jwt', discoveryUrl: provider.discoveryUrl, tenant: 'acme' },
      { type: 'jwt', discoveryUrl: foreign.discoveryUrl, tenant: 'beta' },
    ],
    {},
    {},
    () => foreign,
  ],
  [
    'one issuer and a claim',
    () => ({ type: 'jwt', discoveryUrl: provider.discoveryUrl, tenantClaim: 'org' }),
    { org: 'acme' },
    { org: 'beta' },
    () => provider,
  ],
])('two tenants by %s, with callers of one name', (_how, inbound, ofAcme, ofBeta, betasProvider) => {
  let acme: Caller
  let beta: Caller

  const config = (targets: readonly string[]): object => ({
    listen: { port: 0 },
    admin: { port: 0, tools: false },
    inbound: inbound(),
    egress: { allow: [target.address, provider.address, foreign.address] },
    listPageSize: 1,
    access: [
      { tools: ['both___*'], effect: 'allow' },
      {
        ...(ofAcme.org === undefined ? {} : { claims: ofAcme }),
        principals: [`${provider.issuer}|*`],
        tools: ['acme___*'],
        effect: 'allow',
      },
      {
        ...(ofBeta.org === undefined ? {} : { claims: ofBeta }),
        principals: [`${betasProvider().issuer}|*`],
        tools: ['beta___*'],
        effect: 'allow',
      },
    ],
    targets: Object.fromEntries(targets.map((name) => [name, { openapi: 'tools.json' }])),
  })

  beforeAll(async () => {
    gateway = await startGatewayProcess({
      config: config(['acme', 'beta', 'both']),
      files: { 'tools.json': description(target.origin) },
    })
    acme = await as({ sub: 'kim', ...ofAcme })
    beta = await as({ sub: 'kim', ...ofBeta }, betasProvider())
  })
  afterAll(() => gateway.remove())
  beforeEach(() => {
    target.answer = (recorded, response, incoming) => {
      const asked = recorded.url.endsWith('/asks') && recorded.headers['toolgate-input-responses'] === undefined
      if (!asked) return json({ ok: true })(recorded, response, incoming)
      response.writeHead(200, { 'content-type': 'application/vnd.toolgate.result+json' }).end(JSON.stringify(question))
    }
  })

  /** Every page, as it came. */
  const pages = async (caller: Caller): Promise<Shown[]> => {
    const all: Shown[] = []
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const answer = await caller.modern('tools/list', cursor === '' ? {} : { cursor })
      all.push(shownOf(answer))
      cursor = answer.json.result.nextCursor
    }
    return all
  }
  const elicits = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } }
  /** A stranger’s request without any body: the end of a session, the opening of a stream. */
  const bare = async (caller: Caller, method: 'GET' | 'DELETE', session: string): Promise<Shown> => {
    const headers = { ...legacyHeaders('2025-11-25', session), ...caller.fields, accept: 'text/event-stream' }
    const response = await fetch(mcp(), { method, headers })
    return shownOf({ status: response.status, headers: response.headers, text: await response.text() })
  }

  it('tools: each sees its own, and the other’s answer as absent ones do', async () => {
    const names = async (caller: Caller) =>
      (await pages(caller)).flatMap(({ text }) => /"name":"(\w+___\w+)"/.exec(text)?.[1])
    expect(await names(acme)).toEqual(['acme___asks', 'acme___plain', 'both___asks', 'both___plain'])
    expect(await names(beta)).toEqual(['beta___asks', 'beta___plain', 'both___asks', 'both___plain'])
    for (const [caller, theirs] of [
      [acme, 'beta'],
      [beta, 'acme'],
    ] as const)
      for (const tool of ['asks', 'plain']) {
        const params = [{}, { inputResponses: {} }, { _meta: { progressToken: 1 } }]
        for (const more of params)
          expect(shownOf(await caller.call(`${theirs}___${tool}`, {}, more))).toEqual(
            shownOf(await caller.call(`none___${tool}`, {}, more)),
          )
        expect(shownOf(await caller.callLegacy(`${theirs}___${tool}`))).toEqual(
          shownOf(await caller.callLegacy(`none___${tool}`)),
        )
      }
    expect(target.requests).toEqual([])
  })

  it('cursors: one that only the other was given is one that nobody was given', async () => {
    const first = await acme.modern('tools/list')
    const { nextCursor: cursor } = first.json.result
    expect((await acme.modern('tools/list', { cursor })).json.result.tools).toHaveLength(1)
    const absent = Buffer.from('acme___nothing').toString('base64url')
    for (const call of [beta.modern, beta.legacy])
      expect(shownOf(await call('tools/list', { cursor }))).toEqual(
        shownOf(await call('tools/list', { cursor: absent })),
      )
    expect((await beta.modern('tools/list', { cursor })).json.error.code).toBe(-32602)
  })

  it('sessions: the other’s is none, on every route, and goes on for whom it is', async () => {
    const session = await acme.initialize({ elicitation: {} })
    const garbage = session.replace(/.{8}$/, 'AAAAAAAA')
    const asked: readonly [method: string, params: object][] = [
      ['ping', {}],
      ['tools/list', {}],
      ['tools/call', { name: 'both___plain', arguments: {} }],
      ['tools/call', { name: 'beta___plain', arguments: {} }],
      ['logging/setLevel', { level: 'debug' }],
      ['nothing/at/all', {}],
    ]
    for (const [method, params] of asked) {
      const theirs = shownOf(await beta.legacy(method, params, session))
      expect(theirs.status).toBe(404)
      expect(theirs).toEqual(shownOf(await beta.legacy(method, params, garbage)))
    }
    const notified = (id: string) =>
      post(mcp(), { ...legacyHeaders('2025-11-25', id), ...beta.fields }, { jsonrpc: '2.0', method: 'notifications/x' })
    expect(shownOf(await notified(session))).toEqual(shownOf(await notified(garbage)))
    for (const method of ['GET', 'DELETE'] as const) {
      const theirs = await bare(beta, method, session)
      expect(theirs.status).toBe(404)
      expect(theirs).toEqual(await bare(beta, method, garbage))
    }
    expect(target.requests).toEqual([])
    expect((await acme.legacy('ping', {}, session)).json.result).toEqual({})
  })

  it('request states: the other’s is none, for a tool that both may call', async () => {
    const asked = (await acme.call('both___asks', {}, { _meta: elicits })).json.result
    expect(asked).toMatchObject({ resultType: 'input_required', inputRequests: { name: {} } })
    const again = (caller: Caller, requestState: string) =>
      caller.call('both___asks', {}, { _meta: elicits, requestState, inputResponses: { name: { action: 'decline' } } })
    target.requests.length = 0
    const theirs = await again(beta, asked.requestState)
    expect(theirs.status).toBe(400)
    const garbage = asked.requestState.replace(/.{8}$/, 'AAAAAAAA')
    expect(shownOf(theirs)).toEqual(shownOf(await again(beta, garbage)))
    expect(target.requests).toEqual([])
    expect((await again(acme, asked.requestState)).json.result.content).toEqual([{ type: 'text', text: '{"ok":true}' }])
    expect(target.requests).toHaveLength(1)
  })

  it('questions of an open call: only whom they were asked can answer them', async () => {
    const session = await acme.initialize({ elicitation: {} })
    const open = openCall(mcp(), { ...legacyHeaders('2025-11-25', session), ...acme.fields }, 'both___asks')
    await until('the question is there', () => open.messages().length > 0)
    const { id } = open.messages()[0]
    const betasSession = await beta.initialize({ elicitation: {} })
    const answer = (caller: Caller, of: string, to: unknown, name: string) =>
      post(
        mcp(),
        { ...legacyHeaders('2025-11-25', of), ...caller.fields },
        { jsonrpc: '2.0', id: to, result: { action: 'accept', content: { name } } },
      )
    const nobodys = crypto.randomUUID()
    expect(shownOf(await answer(beta, betasSession, id, 'beta'))).toEqual(
      shownOf(await answer(beta, betasSession, nobodys, 'beta')),
    )
    const garbage = session.replace(/.{8}$/, 'AAAAAAAA')
    expect(shownOf(await answer(beta, session, id, 'beta'))).toEqual(shownOf(await answer(beta, garbage, id, 'beta')))
    expect(open.ended()).toBe(false)
    expect((await answer(acme, session, id, 'acme')).status).toBe(202)
    await until('the call is over', () => open.ended())
    const sent = target.requests.at(-1)?.headers['toolgate-input-responses']
    expect(JSON.parse(Buffer.from(String(sent), 'base64url').toString())).toEqual({
      name: { action: 'accept', content: { name: 'acme' } },
    })
  })

  it('a target of the other that is taken away changes no byte of what one gets', async () => {
    const seen = async () => {
      const calls = ['acme___plain', 'acme___asks', 'both___plain', 'beta___plain']
      return [
        await pages(beta),
        ...(await Promise.all(calls.map((name) => beta.call(name).then(shownOf)))),
        ...(await Promise.all(calls.map((name) => beta.callLegacy(name).then(shownOf)))),
      ]
    }
    const before = await seen()
    writeIn(gateway.dir, 'gateway.config.json', config(['beta', 'both']))
    await until('it is gone', async () => (await acme.call('acme___plain')).json.error !== undefined, patienceMs)
    expect(await seen()).toEqual(before)
  })
})

/** A call of 2025-11-25 that is answered with a stream of events. */
function openCall(url: string, headers: { [name: string]: string }, name: string) {
  let text = ''
  let ended = false
  const outgoing = request(url, { method: 'POST', headers, agent: false }, (response) => {
    response.setEncoding('utf8').on('data', (piece: string) => (text += piece))
    response.on('end', () => (ended = true))
  })
  outgoing.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } }))
  return { messages: () => messagesIn(text), ended: () => ended }
}
