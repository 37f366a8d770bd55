/** What AWS is asked, by its own clients and through the gateway's one way out: nothing but to read. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { egressHandler } from '../../credentials/aws/handler.ts'
import { chainIdentity, clientConfig, roleIdentity } from '../../credentials/aws/identity.ts'
import type { AwsRoom, IdentitySource } from '../../credentials/aws/room.ts'
import { awsRegion, httpUrl } from '../target-schema.ts'
import { importFault, unread } from './fault.ts'
import type { FunctionRef, StageRef } from './words.ts'

/** What is had of the gateway, and as whom AWS is asked where its default chain is not. */
export interface AskRoom extends AwsRoom {
  readonly identity?: IdentitySource
}

/** Where AWS is asked, and in which role. */
export interface AwsPlace {
  /** As AWS's own settings have it unless given. */
  readonly region?: string
  /** In place of AWS's own address. */
  readonly endpoint?: string
  /** ARN of the role that is assumed with what AWS's default chain finds. */
  readonly role?: string
}

/** What is taken of a function's configuration: checked by whoever uses it. */
export interface FunctionFacts {
  readonly region: string
  readonly arn: string
  readonly description: string
  readonly timeoutMs?: number
  readonly state?: string
  /** Why its tags could not be asked for the description that it has not. */
  readonly untold?: string
}

interface Client {
  readonly config: { region(): Promise<string> }
}

type ClientSettings = ReturnType<typeof clientConfig> & { readonly region?: string; readonly endpoint?: string }

/** One of AWS's clients, and the region that it asks. Throws `invalid_params` when nothing says which. */
async function clientOf<C extends Client>(
  room: AskRoom,
  { region: given, endpoint, role }: AwsPlace,
  make: (settings: ClientSettings) => C,
): Promise<{ readonly client: C; readonly region: string }> {
  if (endpoint !== undefined && !httpUrl.safeParse(endpoint).success)
    throw new GatewayError('invalid_params', { words: '--endpoint is an http(s) URL, without a query.' })
  const bounds = { timeoutMs: limits.awsExportMs, bodyBytes: limits.awsExportBytes }
  const requestHandler = egressHandler(room.egress, bounds)
  const chain = room.identity ?? chainIdentity(room, given)
  const place = { ...(endpoint === undefined ? {} : { endpoint }), requestHandler }
  const region = given ?? (await ownRegion(make({ ...clientConfig(room, chain), ...place })))
  if (!awsRegion.safeParse(region).success)
    throw new GatewayError('invalid_params', { words: 'The region is not one of AWS’s, such as us-east-1.' })
  const identity =
    role === undefined ? chain : roleIdentity({ roleArn: role, sessionName: 'toolgate', region }, chain, room)
  return { client: make({ ...clientConfig(room, identity), ...place, region }), region }
}

async function ownRegion({ config }: Client): Promise<string> {
  try {
    return await config.region()
  } catch (cause) {
    throw new GatewayError('invalid_params', {
      words: 'No AWS region is known. Give one with --region, or set AWS_REGION.',
      cause,
    })
  }
}

export async function askFunction(room: AskRoom, place: AwsPlace, ref: FunctionRef): Promise<FunctionFacts> {
  const { GetFunctionConfigurationCommand, LambdaClient, ListTagsCommand } = await import('@aws-sdk/client-lambda')
  const { client, region } = await clientOf(room, place, (settings) => new LambdaClient(settings))
  const what = `the function ${ref.name}`
  const of = ref.qualifier === undefined ? '' : `, ${ref.qualifier},`
  const asked = {
    what,
    region,
    permission: `lambda:GetFunctionConfiguration on the function in ${region}`,
    missing: `There is no function ${ref.name}${of} in ${region} for this AWS identity.`,
  }
  try {
    const facts = await client.send(
      new GetFunctionConfigurationCommand({
        FunctionName: ref.id,
        ...(ref.qualifier === undefined ? {} : { Qualifier: ref.qualifier }),
      }),
    )
    const arn = (facts.FunctionArn ?? '').split(':').slice(0, 7).join(':')
    const known = {
      region,
      arn,
      ...(facts.Timeout === undefined ? {} : { timeoutMs: facts.Timeout * 1_000 }),
      ...(facts.State === undefined ? {} : { state: facts.State }),
    }
    const description = facts.Description?.trim() ?? ''
    if (description !== '') return { ...known, description }
    // tags are asked only for what the configuration does not say
    const tags = client.send(new ListTagsCommand({ Resource: arn })).then(
      ({ Tags }) => ({ description: tagOf(Tags, 'description') }),
      (error: unknown) => ({
        description: '',
        untold: importFault(error, { ...asked, what: `the tags of ${ref.name}`, permission: 'lambda:ListTags' })
          .message,
      }),
    )
    return { ...known, ...(await tags) }
  } catch (error) {
    throw isCut(error) ? unread(what) : importFault(error, asked)
  } finally {
    client.destroy()
  }
}

const tagOf = (tags: Readonly<Record<string, string>> | undefined, wanted: string): string =>
  Object.entries(tags ?? {})
    .find(([key]) => key.toLowerCase() === wanted)?.[1]
    .trim() ?? ''

/** The OpenAPI 3.0 export of a stage, as API Gateway wrote it. */
export async function askStage(
  room: AskRoom,
  place: AwsPlace,
  { api, stage }: StageRef,
): Promise<{ readonly region: string; readonly bytes: Uint8Array }> {
  const { APIGatewayClient, GetExportCommand } = await import('@aws-sdk/client-api-gateway')
  const { client, region } = await clientOf(room, place, (settings) => new APIGatewayClient(settings))
  const what = `the stage ${stage} of ${api}`
  try {
    const { body } = await client.send(
      new GetExportCommand({
        restApiId: api,
        stageName: stage,
        exportType: 'oas30',
        accepts: 'application/json',
        // how methods are authorized is told among these
        parameters: { extensions: 'integrations,authorizers' },
      }),
    )
    return { region, bytes: body ?? new Uint8Array() }
  } catch (error) {
    if (isCut(error)) throw unread(what)
    throw importFault(error, {
      what,
      region,
      permission: `apigateway:GET on arn:aws:apigateway:${region}::/restapis/${api}/stages/${stage}/exports/*`,
      missing: `There is no REST API ${api} with a deployed stage ${stage} in ${region} for this AWS identity. HTTP and WebSocket APIs are not exported this way: save what \`aws apigatewayv2 export-api\` gives of an HTTP API, and add that file.`,
      ungiven: `API Gateway cannot export ${what}: it exports JSON bodies only, and stages that are deployed.`,
    })
  } finally {
    client.destroy()
  }
}

/** The handler's word for an answer that is over its bound, and the way out's for one that is none. */
const isCut = (error: unknown): boolean => error instanceof GatewayError && error.code === 'target_bad_answer'
