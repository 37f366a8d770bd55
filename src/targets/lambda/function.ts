/** How a Lambda function is named, and where it is asked for: words of a description or of the configuration, checked. */

/** What a Lambda file may say of its function; the configuration has the last word, and alone names a role. */
export interface FunctionFacts {
  /** Name, partial or full ARN, without a qualifier. */
  readonly function?: string
  readonly region?: string
  /** Absolute URL in place of AWS Lambda’s own for the region. */
  readonly endpoint?: string
  /** A version or an alias. */
  readonly qualifier?: string
  readonly contract?: Contract
}

/** `agentcore`: the event is the map of arguments. `apiGateway`: payload format 2.0 of API Gateway’s HTTP APIs. */
export type Contract = 'agentcore' | 'apiGateway'

interface FunctionName {
  readonly function: string
  readonly region?: string
  readonly qualifier?: string
}

/** The API’s own pattern (botocore lambda/2015-03-31, `NamespacedFunctionName`), split at its qualifier. */
const name =
  /^(?<id>(?:arn:aws[a-z-]{0,16}:lambda:(?<region>[a-z0-9-]{1,32}):\d{12}:function:|\d{12}:function:|function:)?[A-Za-z0-9_-]{1,140})(?::(?<qualifier>\$LATEST(?:\.PUBLISHED)?|[A-Za-z0-9_-]{1,128}))?$/

/** A function’s name or ARN, with a qualifier or without; nothing when it is none. */
export function readFunction(text: string): FunctionName | undefined {
  const { id, region, qualifier } = name.exec(text)?.groups ?? {}
  if (id === undefined) return undefined
  return {
    function: id.replace(/^function:/, ''),
    ...(region === undefined ? {} : { region }),
    ...(qualifier === undefined ? {} : { qualifier }),
  }
}

/** How they are written, in a file and in the configuration. */
export const factForms = {
  region: /^[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}$/,
  qualifier: /^(?:\$LATEST(?:\.PUBLISHED)?|[A-Za-z0-9_-]{1,128})$/,
  roleArn: /^arn:aws[a-z-]{0,16}:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/,
} as const

type Member = keyof FunctionFacts | 'roleArn'

/**
 * Each member that is there and right; `wrong` is told of each that is there and is not, and of what only the operator
 * may say: where the gateway’s own AWS credentials sign, and as which role.
 */
export function readFacts(
  said: { readonly [member in Member]?: unknown },
  wrong: (member: Member, message: string, code?: 'lambda_endpoint' | 'lambda_role') => void,
): FunctionFacts {
  const named = typeof said.function === 'string' ? readFunction(said.function) : undefined
  if (said.function !== undefined && named === undefined) wrong('function', 'It is no name and no ARN of a function.')
  const text = (member: 'region' | 'qualifier', what: string): { readonly [key: string]: string } => {
    const value = said[member]
    if (value === undefined) return {}
    if (typeof value === 'string' && factForms[member].test(value)) return { [member]: value }
    wrong(member, `It is no ${what}.`)
    return {}
  }
  const { endpoint, contract, roleArn } = said
  const isAws = typeof endpoint === 'string' && isAwsEndpoint(endpoint)
  if (endpoint !== undefined && !isAws)
    wrong('endpoint', 'It is not one of AWS’s own for the Lambda API.', 'lambda_endpoint')
  if (roleArn !== undefined) wrong('roleArn', 'Which role is assumed is not for a file to say.', 'lambda_role')
  const isContract = contract === 'agentcore' || contract === 'apiGateway'
  if (contract !== undefined && !isContract) wrong('contract', 'It is neither agentcore nor apiGateway.')
  return {
    ...named,
    ...text('region', 'region'),
    ...text('qualifier', 'version or alias'),
    ...(isAws ? { endpoint } : {}),
    ...(isContract ? { contract } : {}),
  }
}

/** Suffixes of AWS’s partitions by the beginnings of their regions; all others are in `aws` or `aws-us-gov`. */
const suffixes: readonly (readonly [prefix: string, suffix: string])[] = [
  ['cn-', 'amazonaws.com.cn'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
  ['eusc-', 'amazonaws.eu'],
]

const suffixOf = (region: string): string =>
  suffixes.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com'

/** Where the Lambda API of a region is. */
export const lambdaServer = (region: string): string => `https://lambda.${region}.${suffixOf(region)}`

/** That of a region, or an interface endpoint of AWS PrivateLink for it. */
function isAwsEndpoint(url: string): boolean {
  const { vpce, region = '' } =
    /^https:\/\/(?<vpce>vpce-[a-z0-9-]{1,128}\.)?lambda\.(?<region>[a-z0-9-]{1,32})\./.exec(url)?.groups ?? {}
  if (!factForms.region.test(region)) return false
  const server = vpce === undefined ? lambdaServer(region) : `https://${vpce}lambda.${region}.vpce.${suffixOf(region)}`
  return url.replace(/\/$/, '') === server
}
