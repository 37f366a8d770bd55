/** The way to AWS Lambda through AWS's own client, against an API that answers as a test says: rows L01 to L12. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { holdBack } from '../../../src/config/pins.ts'
import { toRoute } from '../../../src/config/routes.ts'
import { targetSchema } from '../../../src/config/target-schema.ts'
import { Cancellation } from '../../../src/core/cancel.ts'
import { Secret } from '../../../src/core/secret.ts'
import { apiKey } from '../../../src/credentials/api-key.ts'
import type { CredentialProvider } from '../../../src/credentials/provider.ts'
import type { OutboundRequest } from '../../../src/core/model.ts'
import { lambda } from '../../../src/targets/lambda.ts'
import { lambdaTransport } from '../../../src/transports/lambda.ts'
import { type Answer, type Recorder, startRecorder } from '../../support/recorder.ts'
import {
  answered,
  delivery,
  errorOf,
  inTurn,
  keyed,
  lambdaRoom,
  refusal,
  region,
  targetAt,
  type TestRoom,
  transportTo,
} from './lambda-support.ts'

let api: Recorder
let room: TestRoom

beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDCHAIN')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'chain')
  api = await startRecorder()
})
beforeEach(async () => {
  await room?.close()
  room = lambdaRoom([api.address])
  api.requests.length = 0
  api.answer = answered('{"ok":true}')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await room.close()
  await api.close()
})

const event = (body = '{"orderId":"7"}', headers: [string, string][] = []): OutboundRequest => ({
  method: 'POST',
  url: `${api.origin}/`,
  headers: new Map(headers),
  body,
})
const send = (more: Partial<Parameters<typeof transportTo>[2]> = {}, call = delivery(), request = event()) =>
  transportTo(targetAt(api.origin), room, more).send(request, call)

const logged = (log: string): { [header: string]: string } => ({
  'x-amz-log-result': Buffer.from(log).toString('base64'),
})

const contextOf = (place = 0): { custom: { [name: string]: unknown } } =>
  JSON.parse(Buffer.from(String(api.requests[place]?.headers['x-amz-client-context']), 'base64').toString('utf8'))

describe('an invocation', () => {
  it('is one POST with the event as it is, for a function and a version that no argument names', async () => {
    await send({ function: 'arn:aws:lambda:us-east-1:111122223333:function:orders', qualifier: 'live' })
    expect(api.requests).toHaveLength(1)
    const [request] = api.requests
    expect(request?.method).toBe('POST')
    expect(decodeURIComponent(request?.url ?? '')).toBe(
      '/2015-03-31/functions/arn:aws:lambda:us-east-1:111122223333:function:orders/invocations?Qualifier=live',
    )
    expect(request?.body.toString()).toBe('{"orderId":"7"}')
    expect(request?.headers['x-amz-invocation-type']).toBe('RequestResponse')
    expect(request?.headers['x-amz-log-type']).toBeUndefined()
  })

  it('is signed once, for lambda, at the hour of the gateway’s clock', async () => {
    room.pass(365 * 24 * 60 * 60_000)
    await send()
    const headers = api.requests[0]?.headers
    expect(headers?.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/us-east-1\/lambda\/aws4_request, /,
    )
    const year = new Date(room.clock.now()).getUTCFullYear()
    expect(headers?.['x-amz-date']).toMatch(new RegExp(`^${year}\\d{4}T\\d{6}Z$`))
  })

  it('tells the function what AgentCore’s gateway would', async () => {
    const request = event('{}', [['x-tenant', 'acme']])
    await send({ headerNames: ['X-Tenant'] }, delivery({ messageId: 'm-1' }), request)
    expect(contextOf()).toEqual({
      custom: {
        bedrockAgentCoreMessageVersion: '1.0',
        bedrockAgentCoreAwsRequestId: '0198-usage',
        bedrockAgentCoreMcpMessageId: 'm-1',
        bedrockAgentCoreGatewayId: 'my-gateway',
        bedrockAgentCoreTargetId: 'shop',
        bedrockAgentCoreToolName: 'shop___get_order_tool',
        bedrockAgentCorePropagatedHeaders: { 'X-Tenant': 'acme' },
      },
    })
  })

  it('tells the tool’s own name where the operator calls it something else, and no headers where there are none', async () => {
    await send({}, delivery({ name: 'look_up' }))
    expect(contextOf().custom['bedrockAgentCoreToolName']).toBe('shop___get_order_tool')
    expect(contextOf().custom).not.toHaveProperty('bedrockAgentCorePropagatedHeaders')
  })

  it('is refused before it is sent where the headers are longer than AWS Lambda takes', async () => {
    const error = await errorOf(send({}, delivery(), event('{}', [['x-long', 'x'.repeat(3_000)]])))
    expect(error.code).toBe('request_unbuildable')
    expect(error.message).toContain('3583')
    expect(api.requests).toHaveLength(0)
  })

  it('gives what the function answered, what AWS says of it, and what it was signed with', async () => {
    api.answer = answered('{"a":1}', { 'x-amz-executed-version': '3', 'x-amz-function-error': 'Unhandled' })
    const { response, secrets } = await send()
    expect(response.status).toBe(200)
    expect(response.body.toString()).toBe('{"a":1}')
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/json',
      'x-amz-executed-version': '3',
      'x-amz-function-error': 'Unhandled',
      'x-amzn-requestid': 'r-1',
    })
    expect(secrets.map((secret) => secret.equals('a-secret-access-key-of-forty-characters!'))).toContain(true)
  })

  it('asks for the log’s end only at debug, and writes it there and nowhere else', async () => {
    room = lambdaRoom([api.address], true)
    api.answer = answered('1', logged('START\nhello'))
    const { response } = await send()
    expect(api.requests[0]?.headers['x-amz-log-type']).toBe('Tail')
    expect(room.lines).toEqual([{ target: 'shop', usageId: '0198-usage', tail: 'START\nhello' }])
    expect([...response.headers.keys()]).not.toContain('x-amz-log-result')
  })

  it('writes nothing of what signs it or was forwarded, if the function logs that', async () => {
    room = lambdaRoom([api.address], true)
    const key = 'a-secret-access-key-of-forty-characters!'
    api.answer = answered('1', logged(`{"tenant":"t-canary/7"} ${key} t-canary%2F7`))
    await send({}, delivery(), event('{}', [['x-tenant', 't-canary/7']]))
    expect(room.lines).toMatchObject([{ tail: '{"tenant":"[secret]"} [secret] [secret]' }])
  })

  it.each([
    ['a line that may lack its beginning', `${'x'.repeat(4_089)}\nREPORT`, 'REPORT'],
    ['a single one', 'x'.repeat(4_096), ''],
    ['nothing where it is the whole log', `${'x'.repeat(100)}\nREPORT`, `${'x'.repeat(100)}\nREPORT`],
  ])('leaves out of the log’s end %s', async (_what, log, tail) => {
    room = lambdaRoom([api.address], true)
    api.answer = answered('1', logged(log))
    await send()
    expect(room.lines).toMatchObject([{ tail }])
  })

  it('tells AWS nothing of the gateway’s machine', async () => {
    await send()
    const { headers = {} } = api.requests[0] ?? {}
    expect(Object.keys(headers).filter((name) => /user-agent|^amz-sdk|trace/.test(name))).toEqual([])
  })

  it('refuses, as it is set up, a credential that AWS does not take', () => {
    const credential = apiKey({ in: 'header', name: 'X-Key', value: new Secret('k') })
    expect(() => transportTo(targetAt(api.origin), room, { credential })).toThrow(/credential of type sigv4/)
  })
})

describe('what AWS Lambda did not begin (L06, L07)', () => {
  it.each([
    'CallerRateLimitExceeded',
    'ConcurrentInvocationLimitExceeded',
    'ConcurrentSnapshotCreateLimitExceeded',
    'FunctionInvocationRateLimitExceeded',
    'ReservedFunctionConcurrentInvocationLimitExceeded',
    'ReservedFunctionInvocationRateLimitExceeded',
    'SomethingNew',
  ])('is asked for again where it is throttled by %s, whatever it does', async (Reason) => {
    api.answer = inTurn(refusal(429, 'TooManyRequestsException', { Reason }), answered('{"ok":true}'))
    const { response } = await send()
    expect(response.body.toString()).toBe('{"ok":true}')
    expect(api.requests).toHaveLength(2)
  })

  it('is given up after a few times, with the reason in words and nothing of AWS’s own', async () => {
    const Reason = 'ReservedFunctionConcurrentInvocationLimitExceeded'
    api.answer = refusal(429, 'TooManyRequestsException', { Reason })
    const error = await errorOf(send())
    expect(error.code).toBe('target_unreachable')
    expect(error.message).toBe(
      'AWS Lambda did not begin the function: as many of it run as are reserved for it. Try again shortly.',
    )
    expect(api.requests).toHaveLength(4)
  })

  it('is not waited for longer than the call may take', async () => {
    api.answer = refusal(429, 'TooManyRequestsException', {}, { 'retry-after': '60' })
    expect((await errorOf(send())).code).toBe('target_unreachable')
    expect(api.requests).toHaveLength(1)
  })

  it.each([
    [502, 'ResourceNotReadyException'],
    [409, 'SnapStartNotReadyException'],
    [408, 'SnapStartTimeoutException'],
    [409, 'ResourceConflictException'],
    [502, 'EC2ThrottledException'],
  ])('is asked for again after %i %s', async (status, name) => {
    api.answer = inTurn(refusal(status, name), answered('1'))
    expect((await send()).response.body.toString()).toBe('1')
    expect(api.requests).toHaveLength(2)
  })

  it('ends when the caller hangs up in between', async () => {
    api.answer = refusal(429, 'TooManyRequestsException', {}, { 'retry-after': '2' })
    const signal = new Cancellation()
    const sending = errorOf(send({}, delivery({ signal })))
    setTimeout(() => signal.abort(), 200)
    expect((await sending).code).toBe('cancelled')
    expect(api.requests).toHaveLength(1)
  })
})

describe('what may have been begun (L07)', () => {
  const failures = [
    [500, 'ServiceException'],
    [502, 'ServiceException'],
    [502, 'SomethingNewException'],
    [503, 'ServiceUnavailableException'],
  ] as const

  it.each(failures)('is asked for once after %i %s, and told as unknown', async (status, name) => {
    api.answer = inTurn(refusal(status, name), answered('1'))
    const error = await errorOf(send())
    expect(error.code).toBe('target_broke_off')
    expect(error.message).toBe(`AWS Lambda failed (${name}, ${status}). Whether the function acted is not known.`)
    expect(api.requests).toHaveLength(1)
  })

  it.each(failures)('is asked for again after %i %s where that changes nothing', async (status, name) => {
    api.answer = inTurn(refusal(status, name), answered('1'))
    expect((await send({}, delivery({ idempotent: true }))).response.body.toString()).toBe('1')
    expect(api.requests).toHaveLength(2)
  })

  it('is told as unknown where a proxy answers with a page', async () => {
    api.answer = (_request, response) =>
      void response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad</h1>')
    expect((await errorOf(send())).code).toBe('target_broke_off')
  })
})

describe('what nobody can mend by asking again (L08, L09)', () => {
  it.each([
    [502, 'KMSAccessDeniedException', /KMS key of its environment/],
    [502, 'KMSDisabledException', /KMS key of its environment is disabled/],
    [502, 'KMSInvalidStateException', /KMS/],
    [502, 'KMSNotFoundException', /KMS/],
    [410, 'EFSIOException', /file system/],
    [408, 'EFSMountConnectivityException', /file system/],
    [403, 'EFSMountFailureException', /file system/],
    [408, 'EFSMountTimeoutException', /file system/],
    [502, 'ENILimitReachedException', /no interface left/],
    [502, 'ENINotReadyException', /interface is not ready/],
    [502, 'EC2AccessDeniedException', /may not set up its network/],
    [502, 'SubnetIPAddressLimitReachedException', /no address left/],
    [502, 'InvalidRuntimeException', /runtime/],
    [400, 'SnapStartException', /hook failed/],
    [400, 'RecursiveInvocationException', /calls itself in a loop/],
    [404, 'ResourceNotFoundException', /no such function/],
    [400, 'SomethingNewException', /answered SomethingNewException, 400/],
  ])('is asked for once, even if idempotent, after %i %s', async (status, name, words) => {
    api.answer = inTurn(refusal(status, name), answered('1'))
    const error = await errorOf(send({}, delivery({ idempotent: true })))
    expect(error.code).toBe('target_refused')
    expect(error.message).toMatch(words)
    expect(error.message).not.toContain('arn:')
    expect(api.requests).toHaveLength(1)
  })

  it.each([
    [413, 'RequestTooLargeException'],
    [400, 'InvalidRequestContentException'],
  ])('is the arguments’ fault after %i %s', async (status, name) => {
    api.answer = refusal(status, name)
    expect((await errorOf(send())).code).toBe('request_unbuildable')
  })
})

describe('the time that a call may take (L10)', () => {
  it('is over for the target, too, and what it did is not known', async () => {
    let closed = (): void => undefined
    const gone = new Promise<void>((resolve) => {
      closed = resolve
    })
    api.answer = (_request, response) => void response.once('close', closed)
    const error = await errorOf(transportTo(targetAt(api.origin, { timeoutMs: 300 }), room).send(event(), delivery()))
    expect(error.code).toBe('target_timeout')
    await gone
    expect(api.requests).toHaveLength(1)
  })

  it('is over at once when the caller hangs up', async () => {
    const signal = new Cancellation()
    api.answer = () => signal.abort()
    expect((await errorOf(send({}, delivery({ signal })))).code).toBe('cancelled')
    expect((await errorOf(send({}, delivery({ signal })))).code).toBe('cancelled')
  })
})

describe('an identity that will not do (L12)', () => {
  const expired = refusal(403, 'ExpiredTokenException')

  /** A key that is another once it is renewed. */
  const renewing = (renews: boolean): { credential: CredentialProvider; renewals: () => number } => {
    let [which, renewals] = [0, 0]
    const keys = ['AKIDOLD', 'AKIDNEW'].map((id) => keyed(room, { accessKeyId: new Secret(id) }))
    const now = () => keys[which] ?? keyed(room)
    return {
      renewals: () => renewals,
      credential: {
        ...now(),
        apply: (request, who, target) => now().apply(request, who, target),
        isRejection: (response) => now().isRejection(response),
        renew: async () => {
          renewals++
          which = 1
          return renews
        },
      },
    }
  }

  it('is renewed once, and the invocation made with the new one', async () => {
    api.answer = inTurn(expired, answered('1'))
    const { credential, renewals } = renewing(true)
    await send({ credential })
    expect(renewals()).toBe(1)
    expect(api.requests.map(({ headers }) => /AKID\w+/.exec(headers.authorization ?? '')?.[0])).toEqual([
      'AKIDOLD',
      'AKIDNEW',
    ])
  })

  it('is told when the new one will not do either, and when there is none', async () => {
    api.answer = expired
    const error = await errorOf(send({ credential: renewing(true).credential }))
    expect(error.code).toBe('token_refused')
    expect(error.message).toBe(
      'AWS said no when calling the function: the session of the gateway’s AWS identity is over. Tell the operator.',
    )
    expect(api.requests).toHaveLength(2)
    expect((await errorOf(send({ credential: renewing(false).credential }))).code).toBe('token_refused')
    expect(api.requests).toHaveLength(3)
  })

  it('is signed anew by AWS’s clock where the two differ', async () => {
    const skewed = refusal(
      403,
      'InvalidSignatureException',
      { Message: 'Signature not yet current: 20300101T000000Z is still later' },
      { date: new Date(room.clock.now() - 3_600_000).toUTCString() },
    )
    api.answer = inTurn(skewed, answered('1'))
    await send()
    const [first = '', second = ''] = api.requests.map(({ headers }) => String(headers['x-amz-date']))
    expect(api.requests).toHaveLength(2)
    expect(second < first).toBe(true)
  })

  it('is told when it may not call the function, and when there is none', async () => {
    api.answer = refusal(403, 'AccessDeniedException')
    expect((await errorOf(send())).message).toMatch(/not allowed to/)
    const options = {
      target: targetAt(api.origin),
      function: 'orders',
      region,
      contract: 'agentcore',
      gateway: 'g',
    } as const
    expect(() => lambdaTransport(options, { ...room, chain: false })).toThrow(/default chain/)
  })
})

describe('a function behind an OpenAPI description', () => {
  const target = () => targetAt(api.origin, { basePath: '/v1' })
  const request = (more: Partial<OutboundRequest> = {}): OutboundRequest => ({
    method: 'GET',
    url: `${api.origin}/v1/pets/a%2Fb?tag=x&tag=y&q=a%20b`,
    headers: new Map([
      ['Accept', 'application/json'],
      ['cookie', 'a=1; b=2'],
    ]),
    ...more,
  })
  const call = (more: Partial<Parameters<typeof transportTo>[2]> = {}, sent = request()) =>
    transportTo(target(), room, { contract: 'apiGateway', domainName: 'pets.example.com', ...more }).send(
      sent,
      delivery({ operation: { id: 'get_pet', label: 'GET /pets/{petId}' } }),
    )
  const eventSent = (place = 0): unknown => JSON.parse(String(api.requests[place]?.body))

  it('is sent the event that API Gateway would make (payload format 2.0), and no client context', async () => {
    await call()
    const now = expect.any(Number)
    expect(eventSent()).toEqual({
      version: '2.0',
      routeKey: 'GET /pets/{petId}',
      rawPath: '/v1/pets/a%2Fb',
      rawQueryString: 'tag=x&tag=y&q=a%20b',
      cookies: ['a=1', 'b=2'],
      headers: {
        accept: 'application/json',
        host: 'pets.example.com',
        'x-forwarded-port': '443',
        'x-forwarded-proto': 'https',
      },
      queryStringParameters: { tag: 'x,y', q: 'a b' },
      pathParameters: { petId: 'a/b' },
      requestContext: {
        accountId: 'anonymous',
        apiId: 'shop',
        domainName: 'pets.example.com',
        domainPrefix: 'pets',
        http: {
          method: 'GET',
          path: '/v1/pets/a%2Fb',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'toolgate',
        },
        requestId: '0198-usage',
        routeKey: 'GET /pets/{petId}',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: now,
      },
      isBase64Encoded: false,
    })
    expect(api.requests[0]?.headers['x-amz-client-context']).toBeUndefined()
  })

  it.each<[what: string, type: string, body: Uint8Array | string, sent: object]>([
    ['JSON as text', 'application/json', '{"a":"é"}', { body: '{"a":"é"}', isBase64Encoded: false }],
    ['bytes of text as text', 'text/plain; charset=utf-8', Buffer.from('é'), { body: 'é', isBase64Encoded: false }],
    ['other bytes in base64', 'image/png', Buffer.from([0, 255]), { body: 'AP8=', isBase64Encoded: true }],
    ['text that is none in base64', 'text/plain', Buffer.from([0xc3]), { body: 'ww==', isBase64Encoded: true }],
  ])('carries a body: %s', async (_what, type, body, sent) => {
    await call({}, request({ method: 'POST', headers: new Map([['content-type', type]]), body }))
    expect(eventSent()).toMatchObject(sent)
    expect(eventSent()).toMatchObject({ headers: { 'content-length': String(Buffer.byteLength(body)) } })
  })

  it('has the route $default where the path is not of the operation', async () => {
    await call({ basePath: '/other' })
    expect(eventSent()).toMatchObject({ routeKey: '$default', rawPath: '/v1/pets/a%2Fb' })
    expect(eventSent()).not.toHaveProperty('pathParameters')
  })

  it('is not sent an event of more than 6 MB (L05)', async () => {
    const error = await errorOf(call({}, request({ method: 'POST', body: Buffer.alloc(5 * 1024 * 1024) })))
    expect(error.code).toBe('request_unbuildable')
    expect(error.message).toMatch(/6291456 \(6 MB\)/)
    expect(api.requests).toHaveLength(0)
  })

  it.each<[what: string, payload: string, status: number, headers: object, body: string]>([
    [
      'an answer with a status',
      '{"statusCode":201,"headers":{"Content-Type":"text/plain","X-A":1},"multiValueHeaders":{"X-B":["1","2"]},"cookies":["s=1"],"body":"made"}',
      201,
      { 'content-type': 'text/plain', 'x-a': '1', 'x-b': '1, 2' },
      'made',
    ],
    [
      'bytes',
      '{"statusCode":200,"headers":{"content-type":"image/png"},"body":"AP8=","isBase64Encoded":true}',
      200,
      { 'content-type': 'image/png' },
      '\0\ufffd',
    ],
    [
      'what is compressed',
      JSON.stringify({
        statusCode: 200,
        headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip', 'content-length': '29' },
        body: gzipSync('plain').toString('base64'),
        isBase64Encoded: true,
      }),
      200,
      { 'content-type': 'text/plain' },
      'plain',
    ],
    [
      'what only says that it is compressed',
      '{"statusCode":200,"headers":{"content-encoding":"gzip"},"body":"AP8=","isBase64Encoded":true}',
      502,
      { 'content-type': 'text/plain' },
      'The target’s answer is not in the content encoding that it names.',
    ],
    ['a status alone', '{"statusCode":"204"}', 204, {}, ''],
    ['an answer without a status', '{"message":"hi"}', 200, { 'content-type': 'application/json' }, '{"message":"hi"}'],
    ['a list', '[1,2]', 200, { 'content-type': 'application/json' }, '[1,2]'],
    ['a text', '"Hello"', 200, { 'content-type': 'application/json' }, 'Hello'],
    [
      'a body without a type',
      '{"statusCode":200,"body":"{\\"a\\":1}"}',
      200,
      { 'content-type': 'application/json' },
      '{"a":1}',
    ],
    [
      'a status that HTTP has not',
      '{"statusCode":99}',
      502,
      { 'content-type': 'text/plain' },
      'The function’s answer has a statusCode that HTTP has not.',
    ],
    [
      'what is not JSON',
      '<html>',
      502,
      { 'content-type': 'text/plain' },
      'The function’s answer is not JSON, or nested too deeply.',
    ],
  ])('answers as API Gateway would: %s', async (_what, payload, status, headers, body) => {
    api.answer = answered(payload)
    const { response } = await call()
    const { 'x-amzn-requestid': _id, ...rest } = Object.fromEntries(response.headers)
    expect({ status: response.status, headers: rest, body: response.body.toString() }).toEqual({
      status,
      headers,
      body,
    })
  })

  it('answers 502 for an error of the function, with its type and message and no stack', async () => {
    api.answer = answered('{"errorType":"KeyError","errorMessage":"\'x\'","stackTrace":["/var/task/a.py"]}', {
      'x-amz-function-error': 'Unhandled',
    })
    const { response } = await call()
    expect(response.status).toBe(502)
    expect(JSON.parse(response.body.toString())).toEqual({
      message: 'The function failed.',
      errorType: 'KeyError',
      errorMessage: "'x'",
    })
  })

  it('is given the target’s own credential in the event, and a newer one once the function refuses it', async () => {
    const { credential, renewals } = newKey()
    await call({ credential, own: own() }, request({ url: 'https://files.example.com/v1/pets/7' }))
    expect(eventSent()).not.toHaveProperty('headers.x-key')
    api.requests.length = 0
    api.answer = inTurn(answered('{"statusCode":401}'), answered('{"statusCode":200,"body":"in"}'))
    const { response, secrets } = await call({ credential, own: own() }, there())
    expect(response.body.toString()).toBe('in')
    expect(secrets.filter((secret) => secret.equals('old') || secret.equals('new'))).toHaveLength(2)
    expect(renewals()).toBe(1)
    expect([eventSent(0), eventSent(1)]).toMatchObject([
      { headers: { 'x-key': 'old' } },
      { headers: { 'x-key': 'new' } },
    ])
    expect(api.requests[0]?.headers.authorization).toContain('AKIDCHAIN')
    expect(api.requests[0]?.headers['x-key']).toBeUndefined()
  })

  it('is asked with a newer credential within the time of one call', async () => {
    const late = ['{"statusCode":401}', '{"statusCode":200}'].map(
      (body): Answer =>
        (...exchange) =>
          void setTimeout(() => answered(body)(...exchange), 400),
    )
    api.answer = inTurn(...late)
    const { credential, renewals } = newKey()
    const options = { contract: 'apiGateway', own: own(), credential } as const
    const sending = transportTo(targetAt(api.origin, { timeoutMs: 600 }), room, options).send(there(), delivery())
    expect((await errorOf(sending)).code).toBe('target_timeout')
    expect(renewals()).toBe(1)
  })

  it('may write its event to its log, and no secret of that is in ours', async () => {
    room = lambdaRoom([api.address], true)
    api.answer = answered('{"statusCode":200}', logged('x-key: old, x-tenant: t-canary'))
    const headers = { ...own().headers, forwardRequest: ['x-tenant'] }
    const forwarded = { ...there(), headers: new Map([['x-tenant', 't-canary']]) }
    await call({ credential: newKey().credential, own: { ...own(), headers } }, forwarded)
    expect(room.lines).toMatchObject([{ tail: 'x-key: [secret], x-tenant: [secret]' }])
  })

  const own = () => ({ ...target(), origin: 'https://pets.example.com' })
  const there = () => request({ url: 'https://pets.example.com/v1/pets/7' })

  /** The function's own key, which is another once it is renewed. */
  function newKey(): { credential: CredentialProvider; renewals: () => number } {
    let [key, renewals] = ['old', 0]
    const credential: CredentialProvider = {
      kind: 'apiKey',
      place: { in: 'header', name: 'X-Key' },
      apply: (sent) => ({
        request: { ...sent, headers: new Map([...sent.headers, ['x-key', key]]) },
        secrets: [new Secret(key)],
        fingerprint: key,
      }),
      renew: async () => {
        renewals++
        key = 'new'
        return true
      },
    }
    return { credential, renewals: () => renewals }
  }
})

describe('what the configuration says of a function', () => {
  const arn = 'arn:aws:lambda:us-east-1:111122223333:function:orders'
  const file = { function: arn, region, qualifier: 'live', contract: 'agentcore' } as const
  const credentials = {
    aws: { type: 'sigv4', service: 'lambda', region },
    gate: { type: 'sigv4', service: 'execute-api', region },
    elsewhere: { type: 'sigv4', service: 'lambda', region: 'eu-west-1' },
  } as const

  /** The way to a target of this configuration, whose file says what it is said to. */
  function route(config: object, lambda: object = file) {
    const source = { name: 'shop', path: 'shop.lambda.json', config: targetSchema.parse(config), own: false }
    const tools = { entries: [], bytes: Buffer.from('[]') }
    const made = { kind: 'lambda', server: undefined, origins: [], tools, lambda } as const
    const settings = { name: 'gateway', awsRegion: undefined, credentials: { ...credentials } }
    const credential = source.config.credential === undefined ? undefined : keyed(room)
    const log = { ...room.log, info: silent, error: silent }
    return toRoute(source, made, credential, { ...room, log, upstreams: {} as never, settings })
  }
  const silent = (): void => undefined

  const asked = async (config: object, lambda?: object): Promise<string> => {
    api.requests.length = 0
    await route(config, lambda).transport.send(event(), delivery())
    const { url = '', headers } = api.requests[0] ?? {}
    return `${decodeURIComponent(url)} ${/Credential=(\w+)/.exec(headers?.authorization ?? '')?.[1]}`
  }

  it('goes before the file, and takes nothing that the file says of another function', async () => {
    const at = { credential: 'aws', server: api.origin }
    expect(await asked({ ...at, lambda: {} })).toContain(`/${arn}/invocations?Qualifier=live `)
    expect(await asked({ ...at, lambda: { qualifier: '7' } })).toContain(`/${arn}/invocations?Qualifier=7 `)
    expect(await asked({ ...at, lambda: { function: 'tickets', region } })).toContain('/tickets/invocations ')
    expect(() => route({ ...at, lambda: { function: 'tickets' } })).toThrow(/which region/)
  })

  it('says where it is asked for, also as a server', async () => {
    const aws = { ...file, endpoint: 'https://lambda.eu-west-1.amazonaws.com' }
    expect(await asked({ server: api.origin }, aws)).toContain(arn)
    expect(await asked({ server: 'https://lambda.example.com', lambda: { endpoint: api.origin } }, aws)).toContain(arn)
  })

  it('alone names a role', async () => {
    const roleArn = 'arn:aws:iam::111122223333:role/caller'
    expect(await asked({ server: api.origin }, { ...file, roleArn })).toMatch(/ AKIDCHAIN$/)
  })

  it.each([
    { function: 'other' },
    { region: 'eu-west-1' },
    { qualifier: '8' },
    { endpoint: 'https://lambda.eu-west-1.amazonaws.com' },
  ])('holds another one where the target is pinned: %j', async (change) => {
    const dir = mkdtempSync(join(tmpdir(), 'toolgate-pins-'))
    const tools = { entries: [], bytes: Buffer.from('[]') }
    const made = (lambda: object) => ({ kind: 'lambda', server: undefined, origins: [], tools, lambda }) as const
    await holdBack(dir, 'shop', made(file))
    const { serving, version } = await holdBack(dir, 'shop', made({ ...file, ...change }))
    rmSync(dir, { recursive: true })
    expect([serving.lambda, version]).toEqual([file, expect.any(String)])
  })

  it.each([
    ['gate', /targets\.shop\.credential: gate signs for execute-api in us-east-1.*for lambda in us-east-1/],
    ['elsewhere', /elsewhere signs for lambda in eu-west-1.*for lambda in us-east-1/],
  ])('cannot have it called by a signature of %s', (credential, words) => {
    expect(() => route({ credential })).toThrow(words)
  })
})

describe('a function name in the arguments (L11)', () => {
  it('goes into the event and nowhere else', async () => {
    const prepared = lambda.prepare(
      { id: 'get_order_tool', label: '', effect: 'write', idempotent: false, binding: {} },
      { FunctionName: 'other', Qualifier: '$LATEST', function: 'arn:aws:lambda:us-east-1:111122223333:function:other' },
      targetAt(api.origin),
    )
    await send({ qualifier: 'live' }, delivery(), prepared)
    expect(api.requests[0]?.url).toBe('/2015-03-31/functions/orders/invocations?Qualifier=live')
    expect(JSON.parse(String(api.requests[0]?.body))).toHaveProperty('FunctionName', 'other')
  })
})
