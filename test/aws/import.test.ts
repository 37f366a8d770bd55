/** `toolgate add lambda:…` and `apigateway:…` as they are typed: functions from moto, exports from a server of ours. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateAliasCommand, CreateFunctionCommand, LambdaClient, PublishVersionCommand } from '@aws-sdk/client-lambda'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadSettings } from '../../src/config/load.ts'
import { importStage } from '../../src/config/aws-import.ts'
import { Secret } from '../../src/core/secret.ts'
import { fixedIdentity } from '../../src/credentials/aws/identity.ts'
import { writeIn } from '../support/gateway.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
import type { Loose } from '../support/wire.ts'
import { hasMoto, type Moto, motoServer, startMoto } from './moto.ts'
import { awsRoom } from './room.ts'

const bin = join(import.meta.dirname, '../../bin/toolgate.mjs')
const region = 'us-east-1'

interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** A folder with a configuration, in which commands are run as somebody with these AWS settings. */
function folder(config: object, settings: Readonly<Record<string, string>>) {
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-import-'))
  writeIn(dir, 'gateway.config.json', { admin: { tools: false }, ...config })
  const { PATH = '' } = process.env
  const own = { PATH, HOME: dir, AWS_EC2_METADATA_DISABLED: 'true' }
  const toolgate = (words: readonly string[], env: Readonly<Record<string, string>> = settings): Promise<Ran> => {
    const child = spawn(process.execPath, [bin, ...words], {
      cwd: dir,
      env: { ...own, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status) => resolve({ status, out, err }))
    })
  }
  return {
    dir,
    toolgate,
    specs: () => (existsSync(join(dir, 'specs')) ? readdirSync(join(dir, 'specs')).toSorted() : []),
    read: (file: string): Loose => JSON.parse(readFileSync(join(dir, file), 'utf8')),
    empty: () => {
      for (const part of ['specs', '.toolgate']) rmSync(join(dir, part), { recursive: true, force: true })
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}

type Folder = ReturnType<typeof folder>

const anybody = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'not-checked' }

/** Fails with these words, on one line, having written nothing. */
async function expectFailure(place: Folder, words: readonly string[], status: number, said: RegExp, env = anybody) {
  const before = place.specs()
  const ran = await place.toolgate(words, env)
  expect([ran.status, ran.out]).toEqual([status, ''])
  expect(ran.err).toMatch(/^toolgate: [^\n]+\n$/)
  expect(ran.err).toMatch(said)
  expect(place.specs()).toEqual(before)
}

/** As the API has them after `toolgate add`. */
async function toolsOf(place: Folder): Promise<{ name: string; description: string; operation: string }[]> {
  const { status, out, err } = await place.toolgate(['check', '--json'])
  expect([status, err]).toEqual([0, ''])
  return JSON.parse(out).tools
}

if (!hasMoto)
  it(`is skipped: moto is not installed, run .ci/moto (${motoServer})`, (context) => {
    context.skip()
  })

describe.runIf(hasMoto)('toolgate add lambda:, against moto', () => {
  let moto: Moto
  let place: Folder
  const arn = (name: string) => `arn:aws:lambda:${region}:123456789012:function:${name}`

  beforeAll(async () => {
    moto = await startMoto()
    place = folder({ egress: { allow: [moto.address] } }, anybody)
    await moto.query('iam', {
      Action: 'CreateRole',
      Version: '2010-05-08',
      RoleName: 'runner',
      AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [] }),
    })
    const client = new LambdaClient({
      region,
      endpoint: moto.origin,
      credentials: { accessKeyId: 'anybody', secretAccessKey: 'x' },
    })
    const create = (
      FunctionName: string,
      rest: { Description?: string; Tags?: Record<string, string>; Timeout?: number },
    ) =>
      client.send(
        new CreateFunctionCommand({
          FunctionName,
          Role: 'arn:aws:iam::123456789012:role/runner',
          Runtime: 'nodejs22.x',
          Handler: 'index.handler',
          Code: { ZipFile: emptyZip },
          ...rest,
        }),
      )
    await create('get_order', { Description: 'Looks up one order by its number', Timeout: 3 })
    await create('tagged', { Tags: { Team: 'sales', Description: 'Sends an offer' }, Timeout: 120 })
    await create('bare', {})
    await client.send(new PublishVersionCommand({ FunctionName: 'get_order' }))
    await client.send(new CreateAliasCommand({ FunctionName: 'get_order', Name: 'live', FunctionVersion: '1' }))
    client.destroy()
  })
  beforeEach(async () => {
    await moto.check(false)
    place.empty()
  })
  afterAll(async () => {
    await moto?.close()
    place?.remove()
  })

  const at = () => ['--endpoint', moto.origin, '--region', region]

  it('writes a file to fill in, which imports as it is', async () => {
    const { status, out, err } = await place.toolgate(['add', 'lambda:get_order', ...at()])
    expect([status, out]).toEqual([
      0,
      `get-order: 1 tool of 1 operation, in ${join(place.dir, 'specs/get-order.lambda.json')}\n`,
    ])
    expect(err).toMatch(/^Next: .*inputSchema/)
    expect(place.read('specs/get-order.lambda.json')).toEqual({
      function: arn('get_order'),
      region,
      tools: [
        {
          name: 'get_order',
          description: 'Looks up one order by its number',
          inputSchema: { type: 'object', properties: {} },
        },
      ],
    })
    expect(place.read('.toolgate/targets.json')).toEqual({ 'get-order': { server: moto.origin } })
    expect(await toolsOf(place)).toMatchObject([
      { name: 'get-order___get_order', description: 'Looks up one order by its number' },
    ])
  })

  it.each<[source: string, options: readonly string[], qualifier: string | undefined]>([
    [`lambda:${arn('get_order')}`, [], undefined],
    ['lambda:get_order:live', ['--region', region], 'live'],
    [`lambda:${arn('get_order')}:1`, [], '1'],
    ['lambda:get_order', ['--region', region, '--qualifier', 'live'], 'live'],
  ])('takes %s %j', async (source, options, qualifier) => {
    const words = ['add', source, '--endpoint', moto.origin, '--name', 'orders', ...options]
    const { status, out, err } = await place.toolgate(words)
    expect([status, out, err]).toEqual([0, expect.stringMatching(/^orders: 1 tool of/), expect.stringMatching(/^Next: /)])
    const file = place.read('specs/orders.lambda.json')
    expect([file.function, file.qualifier]).toEqual([arn('get_order'), qualifier])
  })

  it('takes the description from a tag where the function has none, and says so when it may run longer than a call', async () => {
    const { status, err } = await place.toolgate(['add', 'lambda:tagged', ...at()])
    expect(status).toBe(0)
    expect(err).toMatch(/^warning: .*may run 120 seconds/)
    expect(place.read('specs/tagged.lambda.json').tools[0].description).toBe('Sends an offer')
    await place.toolgate(['add', 'lambda:bare', ...at()])
    expect(place.read('specs/bare.lambda.json').tools[0].description).toBe('Calls the AWS Lambda function bare.')
  })

  it('says where its endpoint has to be where the configuration has a say of the target', async () => {
    const other = folder({ egress: { allow: [moto.address] }, targets: { 'get-order': { timeoutMs: 9_000 } } }, anybody)
    const { status, err } = await other.toolgate(['add', 'lambda:get_order', ...at()])
    other.remove()
    expect([status, err]).toEqual([0, expect.stringContaining(`set targets.get-order.server to ${moto.origin}.`)])
  })

  it('replaces what is there only by --force', async () => {
    writeIn(place.dir, 'specs/get-order.yaml', 'mine: true\n')
    const words = ['add', 'lambda:get_order', ...at()]
    await expectFailure(place, words, 1, /There is get-order\.yaml already.*--force/)
    expect((await place.toolgate([...words, '--force'])).status).toBe(0)
    expect(place.specs()).toEqual(['get-order.lambda.json'])
  })

  it.each<[what: string, words: readonly string[], status: number, said: RegExp]>([
    ['a function that is not there', ['lambda:nope'], 1, /no function nope in us-east-1/],
    ['a version that is not there', ['lambda:get_order:9'], 1, /no function get_order, 9, in us-east-1/],
    ['another region than the ARN’s', [`lambda:${arn('get_order')}`, '--region', 'eu-west-1'], 2, /is in us-east-1/],
    ['no address', ['lambda:get_order', '--endpoint', 'nowhere'], 2, /--endpoint is an http/],
    ['no region', ['lambda:get_order', '--region', '../x'], 2, /not one of AWS’s/],
    ['what goes with other things', ['lambda:get_order', '--filter', '/a:GET'], 2, /--filter does not go with lambda:/],
  ])('says what is wrong with %s', async (_, words, status, said) => {
    await expectFailure(place, ['add', ...at(), ...words], status, said)
  })

  it('says where a region comes from, and reads it from AWS’s own settings', async () => {
    const words = ['add', 'lambda:get_order', '--endpoint', moto.origin]
    await expectFailure(place, words, 2, /--region, or set AWS_REGION/)
    expect((await place.toolgate(words, { ...anybody, AWS_REGION: region })).status).toBe(0)
  })

  it('says that there are no credentials, or that the address is not allowed', async () => {
    const none = {} as typeof anybody
    await expectFailure(place, ['add', 'lambda:get_order', ...at()], 1, /No AWS credentials were found/, none)
    const elsewhere = ['add', 'lambda:get_order', '--region', region, '--endpoint', 'http://127.0.0.1:9']
    await expectFailure(place, elsewhere, 1, /could not be asked for the function get_order: .*egress\.allow/)
  })

  describe('where IAM checks', () => {
    const iam = (parameters: Record<string, string>) => moto.query('iam', { Version: '2010-05-08', ...parameters })
    const allow = (...Action: string[]) =>
      JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource: '*' }] })
    const newUser = async (user: string, ...actions: string[]): Promise<typeof anybody> => {
      await iam({ Action: 'CreateUser', UserName: user })
      const valueOf = await iam({ Action: 'CreateAccessKey', UserName: user })
      if (actions.length > 0)
        await iam({ Action: 'PutUserPolicy', UserName: user, PolicyName: 'p', PolicyDocument: allow(...actions) })
      return { AWS_ACCESS_KEY_ID: valueOf('AccessKeyId'), AWS_SECRET_ACCESS_KEY: valueOf('SecretAccessKey') }
    }

    it('names the permission that is missing', async () => {
      const nobody = await newUser('nobody')
      await moto.check(true)
      await expectFailure(
        place,
        ['add', 'lambda:get_order', ...at()],
        1,
        /may not read the function get_order: it needs lambda:GetFunctionConfiguration/,
        nobody,
      )
    })

    it('needs no more than to read the configuration, and the tags where there is no description', async () => {
      const reader = await newUser('reader', 'lambda:GetFunctionConfiguration')
      await moto.check(true)
      expect(await place.toolgate(['add', 'lambda:get_order', ...at()], reader)).toMatchObject({
        status: 0,
        err: expect.stringMatching(/^Next: /),
      })
      const tagged = await place.toolgate(['add', 'lambda:tagged', ...at()], reader)
      expect([tagged.status, tagged.err]).toEqual([0, expect.stringMatching(/^warning: .*lambda:ListTags/)])
    })

    it('reads as a role, and says that it cannot assume one', async () => {
      const operator = await newUser('operator', 'sts:AssumeRole')
      const trust = JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: 'arn:aws:iam::123456789012:user/operator' } },
        ],
      })
      await iam({ Action: 'CreateRole', RoleName: 'reading', AssumeRolePolicyDocument: trust })
      await iam({
        Action: 'PutRolePolicy',
        RoleName: 'reading',
        PolicyName: 'p',
        PolicyDocument: allow('lambda:GetFunctionConfiguration'),
      })
      await moto.check(true)
      const words = ['add', 'lambda:get_order', ...at(), '--role']
      const env = { ...operator, AWS_ENDPOINT_URL_STS: moto.origin }
      await expectFailure(place, [...words, 'arn:aws:iam::123456789012:role/runner'], 1, /assuming the role/, env)
      expect((await place.toolgate([...words, 'arn:aws:iam::123456789012:role/reading'], env)).status).toBe(0)
    })
  })
})

describe('toolgate add apigateway:', () => {
  let aws: Recorder
  let place: Folder

  beforeAll(async () => {
    aws = await startRecorder()
    place = folder(
      {
        egress: { allow: [aws.address] },
        credentials: {
          signed: { type: 'sigv4', service: 'execute-api', region },
          elsewhere: { type: 'sigv4', service: 'execute-api', region: 'eu-west-1' },
          key: { type: 'apiKey', in: 'header', name: 'x-api-key', value: { env: 'TOOLGATE_TEST_ABSENT' } },
        },
      },
      anybody,
    )
  })
  beforeEach(() => {
    place.empty()
    aws.requests.length = 0
    aws.answer = json(exported)
  })
  afterAll(async () => {
    await aws.close()
    place.remove()
  })

  const add = (...words: readonly string[]) => place.toolgate(['add', 'apigateway:a1b2c3d4e5/prod', ...at(), ...words])
  const at = () => ['--endpoint', aws.origin, '--region', region]
  const operations = async () => (await toolsOf(place)).map(({ operation }) => operation).toSorted()

  it('asks API Gateway for the export, signed, and leaves out what can be no tool', async () => {
    const { status, out, err } = await add()
    expect([status, out]).toEqual([
      0,
      `Pet-Store: 5 tools of 5 operations, in ${join(place.dir, 'specs/Pet-Store.json')}\n`,
    ])
    expect(aws.requests).toHaveLength(1)
    expect(aws.requests[0]).toMatchObject({
      method: 'GET',
      url: '/restapis/a1b2c3d4e5/stages/prod/exports/oas30?extensions=integrations%2Cauthorizers',
      headers: { accept: 'application/json' },
    })
    expect(aws.requests[0]?.headers.authorization).toMatch(
      /Credential=AKIAIOSFODNN7EXAMPLE\/\d{8}\/us-east-1\/apigateway\//,
    )
    expect(await operations()).toEqual([
      'DELETE /pets/{petId}',
      'GET /pets',
      'GET /pets/{petId}',
      'GET /stock',
      'POST /pets',
    ])
    expect(err).toContain('warning: /files/{proxy+}: left out')
    expect(err).toContain('warning: ANY /any: left out')
    expect(err).toContain('warning: POST /both: left out')
  })

  it('writes where the stage is, and nothing of what is behind it', async () => {
    await add()
    const text = readFileSync(join(place.dir, 'specs/Pet-Store.json'), 'utf8')
    expect(JSON.parse(text).servers).toEqual([{ url: 'https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/prod' }])
    expect(text).not.toMatch(/x-amazon-apigateway|behind\.internal|canary-key/)
    const { status, out } = await place.toolgate(['check', '--json'])
    expect([status, JSON.parse(out).issues]).toEqual([0, []])
  })

  it('takes filters for an allowlist, and overrides for names and descriptions', async () => {
    const { status, err } = await add(
      ...['--filter', '/pets/*:GET,DELETE', '--filter', '/pets:GET', '--filter', '/any:POST'],
      ...[
        '--tool',
        'GET /pets/{petId}=get_pet:Look up: one pet',
        '--tool',
        'GET /pets=list_pets',
        '--credential',
        'signed',
      ],
    )
    expect([status, err]).toEqual([0, expect.not.stringContaining('IAM')])
    expect((await toolsOf(place)).map(({ name, description }) => [name, description])).toEqual([
      ['Pet-Store___delete_pets_by_petId', expect.any(String)],
      ['Pet-Store___post_any', expect.any(String)],
      ['get_pet', 'Look up: one pet'],
      ['list_pets', 'All pets'],
    ])
    expect(place.read('.toolgate/targets.json')).toEqual({
      'Pet-Store': {
        credential: 'signed',
        tools: {
          include: ['GET /pets/**', 'DELETE /pets/**', 'GET /pets', 'POST /any'],
          override: {
            'GET /pets/{petId}': { name: 'get_pet', description: 'Look up: one pet' },
            'GET /pets': { name: 'list_pets' },
          },
        },
      },
    })
  })

  it('replaces what is there only by --force, and keeps the filters that nothing is said of', async () => {
    await add('--filter', '/pets:GET', '--credential', 'signed')
    const again = await add()
    expect([again.status, again.err]).toEqual([1, expect.stringMatching(/There is Pet-Store\.json already.*--force/)])
    const forced = await add('--force', '--tool', 'GET /pets=list_pets')
    expect([forced.status, forced.err]).toEqual([
      0,
      expect.stringMatching(/The filters of before are kept\.\n.*credential of before, signed, is not kept/),
    ])
    expect((await toolsOf(place)).map(({ name }) => name)).toEqual(['list_pets'])
    expect((await add('--force', '--filter', '/*')).status).toBe(0)
    expect(await operations()).toHaveLength(5)
  })

  it('says what the chosen methods want to be called with', async () => {
    const without = await add('--filter', '/pets:GET')
    expect(without.err).toMatch(
      /^warning: 1 of 1 tools want IAM’s signature.*"service": "execute-api", "region": "us-east-1"/,
    )
    const { err } = await add('--force', '--credential', 'signed')
    expect(err).not.toContain('signature')
  })

  it.each<[what: string, words: readonly string[], said: RegExp]>([
    ['a filter that chooses nothing', ['apigateway:a/b', '--filter', '/nope:GET'], /\/nope:GET” chooses no method/],
    [
      'an override outside the filters',
      ['apigateway:a/b', '--filter', '/pets:GET', '--tool', 'POST /pets=x'],
      /POST \/pets/,
    ],
    ['no credential of the name', ['apigateway:a/b', '--credential', 'nobody'], /no credential nobody/],
    ['a qualifier', ['apigateway:a/b', '--qualifier', '1'], /--qualifier does not go with apigateway:/],
  ])('%s is words that are wrong', async (_, words, said) => {
    await expectFailure(place, ['add', ...at(), ...words], 2, said)
  })

  const refusal =
    (status: number, type: string): Recorder['answer'] =>
    (_request, response) =>
      void response
        .writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type })
        .end(JSON.stringify({ message: 'said by AWS' }))

  it.each<[what: string, answer: Recorder['answer'], said: RegExp]>([
    [
      'no such API',
      refusal(404, 'NotFoundException'),
      /no REST API a with a deployed stage b.*HTTP and WebSocket APIs/,
    ],
    [
      'no permission',
      refusal(403, 'AccessDeniedException'),
      /needs apigateway:GET on arn:aws:apigateway:us-east-1::\/restapis\/a\/stages\/b/,
    ],
    ['a wrong key', refusal(403, 'UnrecognizedClientException'), /does not know the access key/],
    ['a session that is over', refusal(403, 'ExpiredTokenException'), /session of this AWS identity is over/],
    ['what it cannot export', refusal(400, 'BadRequestException'), /cannot export/],
    ['a fault of its own', refusal(500, 'InternalFailure'), /Try again shortly/],
    ['no JSON', (_request, response) => void response.end('<html>'), /is not JSON/],
    ['no description', json({ swagger: '2.0' }), /no OpenAPI 3 description/],
    ['a description without a method', json({ openapi: '3.0.1', info: {}, paths: {} }), /No method of the stage/],
    ['brackets without end', (_request, response) => void response.end('['.repeat(100_000)), /nested deeper/],
    ['too much', (_request, response) => void response.end(' '.repeat(17 * 1024 * 1024)), /larger than 16777216 bytes/],
  ])('%s is told in words', async (_, answer, said) => {
    aws.answer = answer
    const settings = { ...loadSettings(join(place.dir, 'gateway.config.json'), 'left') }
    const awsSide = awsRoom([aws.address])
    const { egress, clock, log } = awsSide
    const importer = { run: () => Promise.reject(new Error('nothing is to be imported')) }
    const role = fixedIdentity({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: new Secret('x') })
    const room = { settings: () => settings, importer, egress: () => egress, clock, log, identity: role }
    const asked = importStage(room, 'apigateway:a/b', { region, endpoint: aws.origin })
    await expect(asked).rejects.toMatchObject({ name: 'GatewayError', message: expect.stringMatching(said) })
    await expect(asked).rejects.not.toMatchObject({ code: 'internal' })
    await awsSide.close()
    expect([place.specs(), existsSync(join(place.dir, '.toolgate'))]).toEqual([[], false])
  })

  it('says where filters belong for a target that the configuration has', async () => {
    writeIn(place.dir, 'settled.json', { egress: { allow: [aws.address] }, targets: { settled: { timeoutMs: 1_000 } } })
    const words = ['add', 'apigateway:a/b', ...at(), '--name', 'settled', '--config', 'settled.json']
    await expectFailure(place, [...words, '--filter', '/pets:GET'], 1, /targets\.settled.*"include":\["GET \/pets"\]/)
    expect((await place.toolgate(words)).status).toBe(0)
  })
})

const behind = { type: 'http', uri: 'https://behind.internal/', requestParameters: { 'x-key': "'canary-key'" } }
const method = (summary: string, security?: readonly string[]) => ({
  summary,
  ...(security === undefined ? {} : { security: security.map((name) => ({ [name]: [] })) }),
  responses: { 200: { description: '200 response', content: { 'application/json': { schema: { type: 'object' } } } } },
  'x-amazon-apigateway-integration': behind,
})
const petId = [{ name: 'petId', in: 'path', required: true, schema: { type: 'string' } }]

/** In the form of what API Gateway exports. */
const exported = {
  openapi: '3.0.1',
  info: { title: 'Pet Store', version: '2026-01-01T00:00:00Z' },
  servers: [
    {
      url: 'https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/{basePath}',
      variables: { basePath: { default: '/prod' } },
    },
  ],
  paths: {
    '/pets': {
      get: method('All pets', ['sigv4']),
      post: method('A new pet', ['cognito']),
      options: method('Preflight'),
    },
    '/pets/{petId}': {
      get: { ...method('One pet'), parameters: petId },
      delete: { ...method('Removes a pet'), parameters: petId },
    },
    '/files/{proxy+}': { 'x-amazon-apigateway-any-method': method('Whatever') },
    '/any': { 'x-amazon-apigateway-any-method': method('Anything') },
    '/both': { post: method('Guarded twice', ['sigv4', 'api_key']) },
    '/stock': { get: method('What is there', ['api_key']) },
  },
  components: {
    securitySchemes: {
      sigv4: { type: 'apiKey', name: 'Authorization', in: 'header', 'x-amazon-apigateway-authtype': 'awsSigv4' },
      api_key: { type: 'apiKey', name: 'x-api-key', in: 'header' },
      cognito: {
        type: 'apiKey',
        name: 'Authorization',
        in: 'header',
        'x-amazon-apigateway-authtype': 'cognito_user_pools',
        'x-amazon-apigateway-authorizer': { type: 'cognito_user_pools' },
      },
    },
  },
  'x-amazon-apigateway-policy': { Version: '2012-10-17' },
}

/** An archive without files: what follows the files of one, and nothing before it. */
const emptyZip = Buffer.concat([Buffer.from('PK\x05\x06', 'latin1'), Buffer.alloc(18)])
