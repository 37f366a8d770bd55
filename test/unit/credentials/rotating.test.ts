/** A credential whose secrets change while the gateway runs. */
import { describe, expect, it } from 'vitest'
import type { InboundResponse } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { apiKey } from '../../../src/credentials/api-key.ts'
import { basic } from '../../../src/credentials/basic.ts'
import type { CredentialProvider, Signed } from '../../../src/credentials/provider.ts'
import { rotating, type SecretSource } from '../../../src/credentials/rotating.ts'
import { outbound, principal, target } from '../../support/oauth-room.ts'

const who = principal('alice')

/** Gives what it was told last when it is asked to read, at once or later. */
class Turning implements SecretSource {
  readonly asked: string[] = []
  stored: string
  #value: Secret
  readonly #waits: boolean

  constructor(stored: string, waits = false) {
    this.stored = stored
    this.#value = new Secret(stored)
    this.#waits = waits
  }

  /** As when its time is over. */
  read(): void {
    if (!this.#value.equals(this.stored)) this.#value = new Secret(this.stored)
  }

  current(): Secret | Promise<Secret> {
    return this.#waits ? Promise.resolve(this.#value) : this.#value
  }

  async renew(rejected: Secret): Promise<boolean> {
    this.asked.push(rejected.reveal())
    this.read()
    return this.#value !== rejected
  }
}

const keyed = (source: SecretSource, made: { count: number } = { count: 0 }): ReturnType<typeof rotating> =>
  rotating({
    kind: 'apiKey',
    place: { in: 'header', name: 'X-Key' },
    sources: new Map([['value', source]]),
    make: (secrets) => {
      made.count += 1
      return apiKey({ in: 'header', name: 'X-Key', value: secrets.get('value') ?? new Secret('') })
    },
  })

const headerOf = (signed: Signed, name: string) => signed.request.headers.get(name)
const response = (status: number): InboundResponse => ({
  status,
  headers: new Map(),
  body: Buffer.from(''),
  cut: false,
})

describe('a credential of secrets that rotate', () => {
  it('signs at once where the values are at hand, and is made once for each', async () => {
    const made = { count: 0 }
    const source = new Turning('a')
    const provider = keyed(source, made)
    const signed = provider.apply(outbound(), who, target)
    expect(signed).not.toBeInstanceOf(Promise)
    await provider.apply(outbound(), who, target)
    expect(made.count).toBe(1)
    source.stored = 'b'
    source.read()
    expect(headerOf(await provider.apply(outbound(), who, target), 'x-key')).toBe('b')
    expect(made.count).toBe(2)
  })

  it.each([false, true])(
    'has another try after a 401 only when a value changed (waiting for values: %s)',
    async (waits) => {
      const source = new Turning('a', waits)
      const provider = keyed(source)
      const first = await provider.apply(outbound(), who, target)
      expect(provider.isRejection(response(401))).toBe(true)
      expect(provider.isRejection(response(403))).toBe(false)
      expect(await provider.renew(who, target, first.fingerprint ?? '')).toBe(false)
      source.stored = 'b'
      expect(await provider.renew(who, target, first.fingerprint ?? '')).toBe(true)
      expect(source.asked).toEqual(['a', 'a'])
      const second = await provider.apply(outbound(), who, target)
      expect(headerOf(second, 'x-key')).toBe('b')
      expect(second.secrets.map((one) => one.reveal())).toEqual(['b'])
      expect(second.fingerprint).not.toBe(first.fingerprint)
    },
  )

  it('does not read again for one who was refused with values of before', async () => {
    const source = new Turning('a')
    const provider = keyed(source)
    const [late, early] = [await provider.apply(outbound(), who, target), await provider.apply(outbound(), who, target)]
    source.stored = 'b'
    expect(await provider.renew(who, target, early.fingerprint ?? '')).toBe(true)
    await provider.apply(outbound(), who, target)
    expect(await provider.renew(who, target, late.fingerprint ?? '')).toBe(true)
    expect(source.asked).toEqual(['a'])
  })

  it('puts together several of them', async () => {
    const [user, password] = [new Turning('u', true), new Turning('p')]
    const provider = rotating({
      kind: 'basic',
      place: { in: 'header', name: 'Authorization' },
      sources: new Map([
        ['username', user],
        ['password', password],
      ]),
      make: (secrets) =>
        basic({
          username: secrets.get('username') ?? new Secret(''),
          password: secrets.get('password') ?? new Secret(''),
        }),
    })
    const pair = async () => {
      const sent = headerOf(await provider.apply(outbound(), who, target), 'authorization') ?? ''
      return Buffer.from(sent.slice('Basic '.length), 'base64').toString()
    }
    expect(await pair()).toBe('u:p')
    password.stored = 'q'
    password.read()
    expect(await pair()).toBe('u:q')
  })

  it('lets the kind renew itself first, with the answer it got', async () => {
    const source = new Turning('a')
    const seen: unknown[] = []
    const inner: CredentialProvider & { isRejection(response: InboundResponse): boolean } = {
      kind: 'inner',
      place: { in: 'header', name: 'X' },
      apply: async (request) => ({ request, secrets: [], fingerprint: 'session 1' }),
      isRejection: ({ status }) => status === 403,
      renew: async (...args: readonly unknown[]) => {
        seen.push(args.slice(2))
        return seen.length === 1
      },
    }
    const provider = rotating({
      kind: 'inner',
      place: inner.place,
      sources: new Map([['value', source]]),
      make: () => inner,
    })
    const { fingerprint = '' } = await provider.apply(outbound(), who, target)
    const answer = response(403)
    expect([provider.isRejection(answer), provider.isRejection(response(401))]).toEqual([true, false])
    expect(await provider.renew(who, target, fingerprint, answer)).toBe(true)
    expect(source.asked).toEqual([])
    expect(await provider.renew(who, target, fingerprint, answer)).toBe(false)
    expect(seen).toEqual([
      ['session 1', answer],
      ['session 1', answer],
    ])
    expect(source.asked).toEqual(['a'])
  })

  it('fails as the place fails where the secret is', async () => {
    const provider = keyed({ current: () => Promise.reject(new Error('down')), renew: async () => false })
    await expect(provider.apply(outbound(), who, target)).rejects.toThrow('down')
  })
})
