/** What is kept of AWS's answers and for how long, what its faults become, and the way that its clients go out. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { awsFault } from '../../../src/credentials/aws/fault.ts'
import { egressHandler } from '../../../src/credentials/aws/handler.ts'
import { Kept } from '../../../src/credentials/aws/kept.ts'
import { createEgress, type Egress } from '../../../src/egress/fetch.ts'
import { type Recorder, startRecorder } from '../../support/recorder.ts'

describe('a value that is kept', () => {
  let now = 0
  let due: (() => void)[] = []
  let reads: { again: boolean; resolve(value: string): void; reject(error: unknown): void }[] = []
  let stale: unknown[] = []
  let kept: Kept<string>
  const clock: Clock = {
    ...systemClock,
    monotonic: () => now,
    after: (_ms, act) => {
      due.push(act)
      return () => void (due = due.filter((one) => one !== act))
    },
  }
  const down = new GatewayError('token_unavailable')
  const no = new GatewayError('token_refused')

  beforeEach(() => {
    now = 0
    due = []
    reads = []
    stale = []
    kept = new Kept<string>(clock, {
      read: (again) =>
        new Promise((resolve, reject) => {
          reads.push({ again, reject, resolve: (value) => resolve({ value, freshMs: 100_000, goodMs: 500_000 }) })
        }),
      same: (one, other) => one === other,
      onStale: (error) => void stale.push(error),
    })
  })

  const answer = (value: string | GatewayError): void => {
    const read = reads.pop()
    if (value instanceof Error) read?.reject(value)
    else read?.resolve(value)
  }
  const first = async (value = 'a'): Promise<void> => {
    const got = kept.get()
    answer(value)
    expect(await got).toBe(value)
  }

  it('is read once for all who wait, and given at once while it is fresh', async () => {
    const [one, other] = [kept.get(), kept.get()]
    expect(reads).toHaveLength(1)
    answer('a')
    expect(await Promise.all([one, other])).toEqual(['a', 'a'])
    now = 99_999
    expect(kept.get()).toBe('a')
  })

  it('is read anew when it is no longer fresh, and the new one is waited for', async () => {
    await first()
    now = 100_000
    const got = kept.get()
    answer('b')
    expect(await got).toBe('b')
    expect(due).toEqual([])
  })

  it('is the old one when the new one takes too long, and the new one when it came', async () => {
    await first()
    now = 100_000
    const got = kept.get()
    due.pop()?.()
    expect(await got).toBe('a')
    answer('b')
    await expect.poll(() => kept.get()).toBe('b')
  })

  it('is the old one while its source is down, which is left alone for a moment', async () => {
    await first()
    now = 100_000
    const got = kept.get()
    answer(down)
    expect(await got).toBe('a')
    expect(await kept.get()).toBe('a')
    expect([reads, stale]).toEqual([[], [down]])
    now += limits.awsPauseMs
    const later = kept.get()
    expect(reads).toHaveLength(1)
    answer('b')
    expect(await later).toBe('b')
  })

  it('is none when its source is down for too long', async () => {
    await first()
    now = 500_000
    const got = kept.get()
    answer(down)
    await expect(got).rejects.toBe(down)
    await expect(kept.get()).rejects.toBe(down)
    expect([reads, stale]).toEqual([[], []])
  })

  it('is none when its source says no', async () => {
    await first()
    now = 100_000
    const got = kept.get()
    answer(no)
    await expect(got).rejects.toBe(no)
    now += limits.awsPauseMs
    const later = kept.get()
    answer(down)
    await expect(later).rejects.toBe(down)
  })

  it('is read anew after it was forgotten', async () => {
    await first()
    kept.forget()
    const got = kept.get()
    answer('b')
    expect(await got).toBe('b')
  })

  it.each([
    ['another', 'b', true],
    ['the same', 'a', false],
    ['none, for it is down', down, false],
    ['none, for it says no', no, false],
  ])('when rejected is read again: the source has %s', async (_, value, expected) => {
    await first()
    now = limits.awsRenewMs
    const renewed = kept.renew((one) => one === 'a')
    expect(reads.map(({ again }) => again)).toEqual([true])
    answer(value)
    expect(await renewed).toBe(expected)
  })

  it('when rejected is not read again when it was read just now, or is another already', async () => {
    await first()
    now = limits.awsRenewMs - 1
    expect(await kept.renew((one) => one === 'a')).toBe(false)
    expect(await kept.renew((one) => one === 'older')).toBe(true)
    expect(reads).toEqual([])
  })

  it('when rejected is not asked for again while its source is in trouble', async () => {
    await first()
    now = 100_000
    const got = kept.get()
    answer(down)
    await got
    expect(await kept.renew((one) => one === 'a')).toBe(false)
    expect(reads).toEqual([])
  })
})

const error = (name: string, fields: object = {}): Error =>
  Object.assign(new Error(name === 'SyntaxError' ? 'Unexpected token h, "hunter2" is not valid JSON' : 'said'), {
    name,
    ...fields,
  })
const service = (name: string, httpStatusCode: number): Error =>
  error(name, { $fault: 'client', $metadata: { httpStatusCode } })

describe('a fault of AWS', () => {
  it.each<[string, unknown, string, string]>([
    ['a secret that is not there', service('ResourceNotFoundException', 400), 'token_refused', 'no such secret'],
    ['a key that is not known', service('UnrecognizedClientException', 400), 'token_refused', 'does not know'],
    ['an error of another name', service('Whatever', 400), 'token_refused', 'AWS answered Whatever, 400'],
    ['an error with a name out of order', service('a b<c>', 400), 'token_refused', 'AWS answered Error, 400'],
    ['throttling', service('ThrottlingException', 400), 'token_unavailable', 'Try again shortly'],
    ['throttling by status', service('X', 429), 'token_unavailable', 'Try again shortly'],
    ['trouble', service('InternalServiceError', 500), 'token_unavailable', 'Try again shortly'],
    ['no answer that can be read', error('SyntaxError', { $response: { statusCode: 200 } }), 'token_unavailable', ''],
    [
      'a refusal that cannot be read',
      error('SyntaxError', { $response: { statusCode: 403 } }),
      'token_refused',
      'not allowed',
    ],
    ['no credentials', error('CredentialsProviderError'), 'token_unavailable', 'default chain'],
    ['no region', new Error('Region is missing'), 'token_refused', 'region'],
    ['a target that breaks off', new GatewayError('target_broke_off'), 'token_unavailable', ''],
    ['an address that is not allowed', new GatewayError('egress_refused'), 'token_refused', 'egress.allow'],
    ['what is known already', new GatewayError('bad_config', { words: 'x' }), 'bad_config', 'x'],
    ['a thing thrown', 'hunter2', 'token_unavailable', ''],
  ])('%s', (_, thrown, code, words) => {
    const fault = awsFault(thrown, 'reading a secret')
    expect(fault.code).toBe(code)
    expect(fault.message).toContain(words)
    expect(String(fault.cause)).not.toContain('hunter2')
  })
})

describe('the way out of AWS’s clients', () => {
  let recorder: Recorder
  let egress: Egress
  beforeEach(async () => {
    recorder = await startRecorder()
    egress = createEgress({ allow: [recorder.address], clock: systemClock })
  })
  afterEach(async () => {
    await egress.close()
    await recorder.close()
  })

  const request = (parts: object = {}) => {
    const { protocol, hostname, port } = new URL(recorder.origin)
    return { method: 'POST', protocol, hostname, port: Number(port), path: '/a%20b', headers: {}, ...parts }
  }

  it('carries the request as it is and gives the answer as a stream', async () => {
    const query = { a: ["1'", '2'], b: null, c: 'd e' }
    const { response } = await egressHandler(egress).handle(request({ query, headers: { 'x-a': 'b' }, body: 'ü' }))
    expect(Buffer.concat(await response.body.toArray()).toString()).toBe('{"ok":true}')
    expect(response).toMatchObject({ statusCode: 200, headers: { 'content-type': 'application/json' } })
    expect(recorder.requests[0]).toMatchObject({
      method: 'POST',
      url: '/a%20b?a=1%27&a=2&b&c=d%20e',
      headers: { 'x-a': 'b' },
      body: Buffer.from('ü'),
    })
  })

  it.each<[string, object, string]>([
    ['to an address that is not allowed', { port: 1 }, 'egress_refused'],
    ['with a body that is not at hand', { body: new ReadableStream() }, 'internal'],
  ])('carries none %s', async (_, parts, code) => {
    await expect(egressHandler(egress).handle(request(parts))).rejects.toMatchObject({ code })
    expect(recorder.requests).toEqual([])
  })

  it('gives no answer that is longer than is read', async () => {
    recorder.answer = (_request, response) => void response.end(Buffer.alloc(limits.awsResponseBytes + 1))
    await expect(egressHandler(egress).handle(request())).rejects.toMatchObject({ code: 'target_bad_answer' })
  })
})
