/** Secrets Manager and STS through AWS's own clients and the gateway's way out, against moto. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { InboundResponse, OutboundRequest, Target } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import { apiKey } from '../../src/credentials/api-key.ts'
import { fixedIdentity } from '../../src/credentials/aws/identity.ts'
import { kmsKey } from '../../src/credentials/aws/kms.ts'
import { type SecretsManager, secretsManager } from '../../src/credentials/aws/secrets-manager.ts'
import type { IdentitySource } from '../../src/credentials/aws/room.ts'
import type { CredentialProvider } from '../../src/credentials/provider.ts'
import { rotating } from '../../src/credentials/rotating.ts'
import { type SigV4Options, type SigV4Provider, sigv4 } from '../../src/credentials/sigv4.ts'
import { principal, target as anywhere } from '../support/oauth-room.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
import { createKeyring, localKey } from '../../src/vault/keyring.ts'
import { createVault } from '../../src/vault/vault.ts'
import { hasMoto, type Moto, motoServer, startMoto } from './moto.ts'
import { awsRoom, type TestAwsRoom } from './room.ts'

const region = 'us-east-1'
const who = principal('alice')
const identityOf = (accessKeyId: string, secretAccessKey: string): IdentitySource =>
  fixedIdentity({ accessKeyId, secretAccessKey: new Secret(secretAccessKey) })

/** Applies, sends, and tries once more as a call does. */
async function call(
  room: TestAwsRoom,
  provider: CredentialProvider & Partial<Pick<SigV4Provider, 'isRejection' | 'renew'>>,
  request: OutboundRequest,
): Promise<InboundResponse> {
  const target: Target = { ...anywhere, origin: new URL(request.url).origin }
  const send = async (): Promise<[InboundResponse, string]> => {
    const signed = await provider.apply(request, who, target)
    const options = { timeoutMs: 5_000, bodyBytes: 100_000, repeatable: false }
    return [await room.egress.channel(target.origin).send(signed.request, options), signed.fingerprint ?? '']
  }
  const [first, fingerprint] = await send()
  const rejected = provider.isRejection?.(first) ?? first.status === 401
  return rejected && (await provider.renew?.(who, target, fingerprint, first)) === true ? (await send())[0] : first
}

if (!hasMoto)
  it(`is skipped: moto is not installed, run .ci/moto (${motoServer})`, (context) => {
    context.skip()
  })

describe.runIf(hasMoto)('against moto', () => {
  let moto: Moto
  let recorder: Recorder
  let room: TestAwsRoom

  beforeAll(async () => {
    moto = await startMoto()
    recorder = await startRecorder()
  })
  beforeEach(async () => {
    await moto.check(false)
    await room?.close()
    room = awsRoom([moto.address, recorder.address])
    recorder.requests.length = 0
    recorder.answer = json({ ok: true })
  })
  afterAll(async () => {
    await room.close()
    await recorder.close()
    await moto.close()
  })

  const manager = (identity = identityOf('anybody', 'x')): SecretsManager => secretsManager(room, identity)
  const ref = (secretId: string, jsonKey?: string, endpoint = moto.origin) => ({
    secretId,
    region,
    endpoint,
    ...(jsonKey === undefined ? {} : { jsonKey }),
  })

  describe('a secret', () => {
    beforeAll(async () => {
      const create = (Name: string, SecretString: string) => moto.secrets('CreateSecret', { Name, SecretString })
      await create('plain', ' hunter2\n')
      await create('pair', JSON.stringify({ user: 'u1', password: 'p"1ü', port: 5432 }))
      await create('turning', 'key-1')
      await moto.secrets('CreateSecret', {
        Name: 'binary',
        SecretBinary: Buffer.from('of bytes').toString('base64'),
      })
      await moto.secrets('CreateSecret', { Name: 'noise', SecretBinary: Buffer.from([0xff, 0xfe]).toString('base64') })
    })

    it.each([
      ['whole, without the white space at its ends', 'plain', undefined, 'hunter2'],
      ['given as bytes', 'binary', undefined, 'of bytes'],
      ['a member of its JSON', 'pair', 'password', 'p"1ü'],
    ])('is read: %s', async (_, secretId, jsonKey, expected) => {
      expect((await manager().resolve(ref(secretId, jsonKey))).reveal()).toBe(expected)
    })

    it.each([
      ['that does not exist', 'nowhere', undefined, 'there is no such secret'],
      ['without the member', 'pair', 'token', 'no text of the name'],
      ['whose member is no text', 'pair', 'port', 'no text of the name'],
      ['whose member is its prototype’s', 'pair', 'constructor', 'no text of the name'],
      ['that is not JSON', 'plain', 'password', 'is not JSON'],
      ['that is not text', 'noise', undefined, 'is not text'],
    ])('%s is refused, and the error holds nothing of it', async (_, secretId, jsonKey, words) => {
      const error: unknown = await manager()
        .resolve(ref(secretId, jsonKey))
        .catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'token_refused', message: expect.stringContaining(words) })
      expect(chain(error)).not.toContain('hunter2')
    })

    it('is read once for all who want it, and all of its members', async () => {
      recorder.answer = proxy
      const source = manager()
      const through = (jsonKey: string) => source.resolve(ref('pair', jsonKey, recorder.origin))
      const values = await Promise.all([through('user'), through('password'), through('user')])
      expect(values.map((value) => value.reveal())).toEqual(['u1', 'p"1ü', 'u1'])
      expect(recorder.requests).toHaveLength(1)
    })

    it('is found with what AWS’s default chain finds', async () => {
      process.env['AWS_ACCESS_KEY_ID'] = 'AKIDFROMENV'
      process.env['AWS_SECRET_ACCESS_KEY'] = 'x'
      try {
        recorder.answer = proxy
        expect((await secretsManager(room).resolve(ref('plain', undefined, recorder.origin))).reveal()).toBe('hunter2')
        expect(recorder.requests[0]?.headers.authorization).toContain('Credential=AKIDFROMENV/')
      } finally {
        delete process.env['AWS_ACCESS_KEY_ID']
        delete process.env['AWS_SECRET_ACCESS_KEY']
      }
    })

    it('is asked for again when AWS wants it slower', async () => {
      let asked = 0
      recorder.answer = (request, response, incoming) => {
        asked += 1
        if (asked === 1)
          json({ __type: 'ThrottlingException', message: 'Rate exceeded' }, 400)(request, response, incoming)
        else proxy(request, response)
      }
      expect((await manager().resolve(ref('plain', undefined, recorder.origin))).reveal()).toBe('hunter2')
      expect(asked).toBe(2)
    })

    it('stays good for hours while AWS is throttling or down, and not longer', async () => {
      recorder.answer = proxy
      const source = manager()
      const wanted = ref('plain', undefined, recorder.origin)
      const value = await source.resolve(wanted)
      // the value is given before AWS's client has tried often enough
      const warned = (times: number) =>
        expect
          .poll(() => room.warnings, { timeout: 15_000 })
          .toEqual(Array(times).fill('a secret could not be read anew from AWS; the old value is used'))
      recorder.answer = json({ __type: 'ThrottlingException' }, 400)
      room.pass(6 * 60_000)
      expect(await source.resolve(wanted)).toBe(value)
      await warned(1)
      recorder.answer = (_request, response) => void response.destroy()
      room.pass(3 * 60 * 60_000)
      expect(await source.resolve(wanted)).toBe(value)
      await warned(2)
      room.pass(2 * 60 * 60_000)
      await expect(source.resolve(wanted)).rejects.toMatchObject({ code: 'token_unavailable' })
      recorder.answer = proxy
      room.pass(60_000)
      expect((await source.resolve(wanted)).reveal()).toBe('hunter2')
      await warned(2)
    })

    it('is given up at once when AWS says no', async () => {
      recorder.answer = proxy
      const source = manager()
      const wanted = ref('plain', undefined, recorder.origin)
      await source.resolve(wanted)
      recorder.answer = json({ __type: 'AccessDeniedException', message: 'no' }, 400)
      source.forget(wanted)
      await expect(source.resolve(wanted)).rejects.toMatchObject({
        code: 'token_refused',
        message: expect.stringContaining('not allowed to'),
      })
    })

    it('is not asked for at an address that is not allowed', async () => {
      await expect(manager().resolve(ref('plain', undefined, 'http://127.0.0.1:1'))).rejects.toMatchObject({
        code: 'token_refused',
      })
    })

    it('that was rotated at AWS is found out by the target’s 401, once', async () => {
      let good = 'key-1'
      recorder.answer = (request, response, incoming) =>
        json({}, request.headers['x-key'] === good ? 200 : 401)(request, response, incoming)
      const provider = rotating({
        kind: 'apiKey',
        place: { in: 'header', name: 'X-Key' },
        sources: new Map([['value', manager().source(ref('turning'))]]),
        make: (secrets) => apiKey({ in: 'header', name: 'X-Key', value: secrets.get('value') ?? new Secret('') }),
      })
      const request = { method: 'GET', url: `${recorder.origin}/x`, headers: new Map<string, string>() }
      const keys = () => recorder.requests.splice(0).map(({ headers }) => headers['x-key'])

      expect((await call(room, provider, request)).status).toBe(200)
      await moto.secrets('PutSecretValue', { SecretId: 'turning', SecretString: 'key-2' })
      expect((await call(room, provider, request)).status).toBe(200)
      expect(keys()).toEqual(['key-1', 'key-1'])
      // the target turns to the new key
      good = 'key-2'
      room.pass(10_000)
      expect((await call(room, provider, request)).status).toBe(200)
      expect(keys()).toEqual(['key-1', 'key-2'])
      // a key that AWS has not is no reason to try again
      good = 'key-3'
      room.pass(10_000)
      expect((await call(room, provider, request)).status).toBe(401)
      expect(keys()).toEqual(['key-2'])
    })
  })

  /** To moto and back; what is not checked may pass through other hands. */
  const proxy: (
    ...args: Parameters<Recorder['answer']> extends [infer A, infer B, ...unknown[]] ? [A, B] : never
  ) => void = ({ method, headers, body }, response) => {
    const names = ['authorization', 'content-type', 'x-amz-target', 'x-amz-date', 'x-amz-security-token']
    const sent = Object.fromEntries(names.map((name) => [name, headers[name]?.toString() ?? '']))
    fetch(`${moto.origin}/`, { method, headers: sent, body: new Uint8Array(body) })
      .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
      .catch(() => response.destroy())
  }

  describe('a role', () => {
    const roleArn = 'arn:aws:iam::123456789012:role/caller'
    let key: Pick<SigV4Options, 'accessKeyId' | 'secretAccessKey'>
    let stranger: IdentitySource

    const allow = (action: string) =>
      JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: action, Resource: '*' }] })

    beforeAll(async () => {
      const iam = (parameters: Record<string, string>) => moto.query('iam', { Version: '2010-05-08', ...parameters })
      const newKey = async (user: string): Promise<[string, string]> => {
        await iam({ Action: 'CreateUser', UserName: user })
        const valueOf = await iam({ Action: 'CreateAccessKey', UserName: user })
        return [valueOf('AccessKeyId'), valueOf('SecretAccessKey')]
      }
      const [id, secret] = await newKey('gateway')
      key = { accessKeyId: new Secret(id), secretAccessKey: new Secret(secret) }
      stranger = identityOf(...(await newKey('stranger')))
      const trust = JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: 'arn:aws:iam::123456789012:user/gateway' } },
        ],
      })
      const noTrust = trust.replace('user/gateway', 'user/somebody')
      await iam({ Action: 'CreateRole', RoleName: 'caller', AssumeRolePolicyDocument: trust })
      await iam({ Action: 'CreateRole', RoleName: 'other', AssumeRolePolicyDocument: noTrust })
      const policy = (who: Record<string, string>, action: string) =>
        iam({ PolicyName: 'p', PolicyDocument: allow(action), ...who })
      await policy({ Action: 'PutUserPolicy', UserName: 'gateway' }, 'sts:AssumeRole')
      await policy({ Action: 'PutRolePolicy', RoleName: 'caller' }, 'secretsmanager:*')
    })

    const provider = (options: Partial<SigV4Options> = {}) =>
      sigv4({ service: 'sts', region, roleArn, stsEndpoint: moto.origin, ...key, ...options }, room)

    const form = new Map([['content-type', 'application/x-www-form-urlencoded']])
    const whoAmI = (): OutboundRequest => ({
      method: 'POST',
      url: `${moto.origin}/`,
      headers: form,
      body: 'Action=GetCallerIdentity&Version=2011-06-15',
    })

    it('is assumed with a key, and what is signed in it is let in by IAM’s own check', async () => {
      await moto.check(true)
      const answer = await call(room, provider(), whoAmI())
      expect(answer.status).toBe(200)
      expect(answer.body.toString()).toContain('assumed-role/caller/toolgate')
    })

    it('is not needed to sign: a key alone is let in as the user whose it is', async () => {
      await moto.check(true)
      const plain = sigv4({ service: 'sts', region, ...key }, room)
      expect((await call(room, plain, whoAmI())).body.toString()).toContain('user/gateway')
    })

    it.each([
      ['another secret', { secretAccessKey: new Secret('wrong') }, 'the secret access key is wrong'],
      ['a key that is not known', { accessKeyId: new Secret('AKIANOBODY') }, 'does not know the access key'],
      ['a role that trusts somebody else', { roleArn: 'arn:aws:iam::123456789012:role/other' }, 'not allowed to'],
    ])('cannot be assumed with %s', async (_, options, words) => {
      await moto.check(true)
      await expect(call(room, provider(options), whoAmI())).rejects.toMatchObject({
        code: 'token_refused',
        message: expect.stringContaining(words),
      })
    })

    it('reads secrets that the one who may not is denied', async () => {
      await moto.secrets('CreateSecret', { Name: 'guarded', SecretString: 'g' })
      await moto.check(true)
      await expect(manager(stranger).resolve(ref('guarded'))).rejects.toMatchObject({
        code: 'token_refused',
        message: expect.stringContaining('not allowed to'),
      })
    })

    const keyIds = () =>
      recorder.requests.splice(0).map(({ headers }) => /Credential=(\w+)\//.exec(headers.authorization ?? '')?.[1])
    const anything = (): OutboundRequest => ({ method: 'GET', url: `${recorder.origin}/x`, headers: new Map() })

    it('is assumed once for many calls, and again before its session ends', async () => {
      const signer = provider()
      await Promise.all(Array.from({ length: 20 }, () => call(room, signer, anything())))
      const [first, ...others] = new Set(keyIds())
      expect(others).toEqual([])
      room.pass(50 * 60_000)
      await call(room, signer, anything())
      expect(keyIds()).toEqual([first])
      room.pass(6 * 60_000)
      await call(room, signer, anything())
      expect(keyIds()).not.toEqual([first])
    })

    it('whose session AWS calls expired is assumed again, once, and the call is made', async () => {
      const refused = new Set<string | undefined>()
      recorder.answer = (request, response, incoming) => {
        const token = request.headers['x-amz-security-token']?.toString()
        if (refused.size === 0) refused.add(token)
        const gone = refused.has(token)
        json(gone ? { __type: 'ExpiredTokenException' } : {}, gone ? 400 : 200)(request, response, incoming)
      }
      const signer = provider()
      // one that was got this moment and is refused is refused for another reason
      expect((await call(room, signer, anything())).status).toBe(400)
      room.pass(10_000)
      expect((await call(room, signer, anything())).status).toBe(200)
      expect(new Set(keyIds()).size).toBe(2)
    })
  })

  describe('a vault key in KMS', () => {
    const keyIn = (keyId: string) =>
      kmsKey({ keyId, region, endpoint: moto.origin }, room, identityOf('AKIAIOSFODNN7EXAMPLE', 'not-checked'))
    const place = { kind: 'secret', tenant: '', principal: '', name: 'crm' } as const

    it('seals and opens, for another process too, and never leaves KMS', async () => {
      const keyId = await moto.newKey()
      const sealed = await createVault(createKeyring(keyIn(keyId))).seal(place, 1, new Secret('kms-canary-77'))
      expect(sealed).not.toContain('kms-canary-77')
      const opened = await createVault(createKeyring(keyIn(keyId))).open(place, 1, sealed)
      expect(opened.equals('kms-canary-77')).toBe(true)
    })

    it('opens nothing for another place, or once the key is another', async () => {
      const [one, other] = [await moto.newKey(), await moto.newKey()]
      const sealed = await createVault(createKeyring(keyIn(one))).seal(place, 1, new Secret('x'))
      await expect(
        createVault(createKeyring(keyIn(one))).open({ ...place, name: 'y' }, 1, sealed),
      ).rejects.toMatchObject({ code: 'vault_unreadable' })
      await expect(createVault(createKeyring(keyIn(other))).open(place, 1, sealed)).rejects.toMatchObject({
        code: 'vault_unreadable',
      })
    })

    it('is retired for one in memory, and the other way round', async () => {
      const kms = keyIn(await moto.newKey())
      const local = localKey(new Secret(Buffer.alloc(32, 7).toString('base64')))
      const sealed = await createVault(createKeyring(kms)).seal(place, 1, new Secret('x'))
      const moved = await createVault(createKeyring(local, [kms])).rewrap(sealed)
      expect((await createVault(createKeyring(local)).open(place, 1, moved)).equals('x')).toBe(true)
    })

    it.each(['alias/vault', 'arn:aws:kms:us-east-1:111122223333:alias/vault', ''])(
      'is not named by an alias: %j',
      (keyId) => {
        expect(() => keyIn(keyId)).toThrow(/no.* alias|by its id/)
      },
    )
  })
})

const chain = (error: unknown): string =>
  error instanceof Error ? `${error.message} ${error.stack} ${JSON.stringify(error)} ${chain(error.cause)}` : ''
