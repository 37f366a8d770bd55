/**
 * AWS Signature Version 4: the request as it leaves is signed by AWS's own signer, body and all, with a key that is
 * given, with what AWS's default chain finds, or as a session in a role.
 */
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { SignatureV4 } from '@smithy/signature-v4'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InboundResponse, OutboundRequest, Principal, Target } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import { chainIdentity, fixedIdentity, roleIdentity } from './aws/identity.ts'
import { refusalOf } from './aws/refusal.ts'
import type { AwsIdentity, AwsRoom, IdentitySource } from './aws/room.ts'
import { bodyHashField, encodesPathOnce, toSignable } from './aws/signable.ts'
import type { CredentialProvider, Signed } from './provider.ts'

export interface SigV4Options {
  /** The signing name, for example `execute-api`, `bedrock-agentcore`, `s3`. */
  readonly service: string
  readonly region: string
  /** With `secretAccessKey`; without them, AWS's default chain is asked. */
  readonly accessKeyId?: Secret
  readonly secretAccessKey?: Secret
  readonly sessionToken?: Secret
  /** The role that is assumed with them. */
  readonly roleArn?: string
  /** `toolgate` unless given. */
  readonly roleSessionName?: string
  /** In place of AWS STS's own address for the region. */
  readonly stsEndpoint?: string
}

export interface SigV4Provider extends CredentialProvider {
  /** Whether AWS says in this answer that the key, its session or the clock will not do: it says so with 400 and 403, too. */
  isRejection(response: InboundResponse): boolean
  renew(who: Principal, target: Target, rejected: string, response?: InboundResponse): Promise<boolean>
}

/** Throws `bad_config` for options that cannot work. Nothing is looked up before the first call. */
export function sigv4(options: SigV4Options, room: AwsRoom): SigV4Provider {
  const source = sourceOf(options, room)
  const signerOf = rememberSigner(options)
  /** Milliseconds by which a target's clock is ahead of this one's, where it refused ours. */
  const ahead = new WeakMap<Target, number>()

  const signed = async (identity: AwsIdentity, request: OutboundRequest, target: Target): Promise<Signed> => {
    const signer = await signerOf(identity)
    const signingDate = new Date(room.clock.now() + (ahead.get(target) ?? 0))
    const { headers } = await signer.sign(toSignable(request, options.service), { signingDate })
    return withSignature(request, headers, identity)
  }

  return {
    kind: 'sigv4',
    // the other fields of a signature, all `x-amz-`, are taken out of the request before it is signed
    place: { in: 'header', name: 'Authorization' },
    async apply(request, _who, target) {
      return signed(await source.current(), request, target)
    },
    isRejection: (response) => refusalOf(response) !== undefined,
    async renew(_who, target, rejected, response) {
      if (response === undefined || refusalOf(response) !== 'time') return source.renew(rejected)
      const offset = offsetOf(response, room.clock.now())
      if (offset === undefined || Math.abs(offset - (ahead.get(target) ?? 0)) < limits.awsClockOffMsMin) return false
      ahead.set(target, offset)
      return true
    },
  }
}

function sourceOf(options: SigV4Options, room: AwsRoom): IdentitySource {
  const { accessKeyId, secretAccessKey, sessionToken, region, roleArn, stsEndpoint } = options
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
    throw bad('accessKeyId and secretAccessKey go together.')
  if (sessionToken !== undefined && accessKeyId === undefined) throw bad('a sessionToken needs its accessKeyId.')
  const base =
    accessKeyId === undefined || secretAccessKey === undefined
      ? chainIdentity(room, region)
      : fixedIdentity({
          accessKeyId: accessKeyId.reveal(),
          secretAccessKey,
          ...(sessionToken === undefined ? {} : { sessionToken }),
        })
  if (roleArn === undefined) return base
  const sessionName = options.roleSessionName ?? 'toolgate'
  const role = { roleArn, sessionName, region, ...(stsEndpoint === undefined ? {} : { endpoint: stsEndpoint }) }
  return roleIdentity(role, base, room)
}

const bad = (what: string): GatewayError =>
  new GatewayError('bad_config', { words: `A credential of type sigv4: ${what}` })

/** One signer for one identity; the next identity's takes its place. */
function rememberSigner({ service, region }: SigV4Options): (identity: AwsIdentity) => Promise<SignatureV4> {
  let last: { readonly identity: AwsIdentity; readonly signer: Promise<SignatureV4> } | undefined
  return (identity) => {
    if (last?.identity !== identity) last = { identity, signer: newSigner(identity, service, region) }
    return last.signer
  }
}

async function newSigner(identity: AwsIdentity, service: string, region: string): Promise<SignatureV4> {
  const { SignatureV4 } = await import('@smithy/signature-v4')
  const { accessKeyId, secretAccessKey, sessionToken } = identity
  return new SignatureV4({
    service,
    region,
    sha256: Sha256,
    uriEscapePath: !encodesPathOnce(service),
    applyChecksum: true,
    credentials: {
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
    },
  })
}

/** What the signer adds; everything else stays as it was sent by the adapter. */
const added = ['authorization', 'x-amz-date', 'x-amz-security-token', bodyHashField]

function withSignature(
  request: OutboundRequest,
  signedHeaders: { readonly [name: string]: string },
  { accessKeyId, secretAccessKey, sessionToken }: AwsIdentity,
): Signed {
  const headers = new Map<string, string>()
  for (const [name, value] of request.headers) {
    const lower = name.toLowerCase()
    if (Object.hasOwn(signedHeaders, lower)) headers.set(lower, value)
  }
  for (const name of added) {
    const value = signedHeaders[name]
    if (value !== undefined) headers.set(name, value)
  }
  const signature = /Signature=([0-9a-f]{64})$/.exec(signedHeaders['authorization'] ?? '')?.[1] ?? ''
  return {
    request: { ...request, headers },
    secrets: [secretAccessKey, ...(sessionToken === undefined ? [] : [sessionToken]), new Secret(signature)],
    fingerprint: accessKeyId,
  }
}

/** How far the clock that wrote `date` is ahead; nothing when it is too far off to be believed. */
function offsetOf({ headers }: InboundResponse, now: number): number | undefined {
  const offset = Date.parse(headers.get('date') ?? '') - now
  return Math.abs(offset) <= limits.awsClockOffMs ? offset : undefined
}

type Bytes = string | ArrayBuffer | ArrayBufferView

const toBytes = (data: Exclude<Bytes, string>): Uint8Array =>
  ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)

/** The signer keeps its key for a day, and Node takes longer to make its own form of one than to sign with that. */
const keys = new WeakMap<object, KeyObject>()

function toKey(data: Bytes): string | KeyObject {
  if (typeof data === 'string') return data
  let key = keys.get(data)
  if (key === undefined) {
    key = createSecretKey(toBytes(data))
    keys.set(data, key)
  }
  return key
}

/** SHA-256, or its HMAC with a key, as the signer wants it. */
class Sha256 {
  readonly #hash

  constructor(key?: Bytes) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', toKey(key))
  }

  update(data: Bytes): void {
    this.#hash.update(typeof data === 'string' ? data : toBytes(data))
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  reset(): void {
    throw new TypeError('a hash is used once')
  }
}
