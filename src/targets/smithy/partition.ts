/** Which part of AWS a region is of, and what its hosts end in (the `aws.partition` function of endpoint rules). */
import type { Node } from '../openapi/tree.ts'

interface Partition {
  readonly name: string
  readonly regions: RegExp
  readonly dnsSuffix: string
  readonly dualStackDnsSuffix: string
  readonly implicitGlobalRegion: string
}

/** As the AWS SDKs have it (`partitions.json`). */
const partitions: readonly Partition[] = [
  {
    name: 'aws',
    regions: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$/,
    dnsSuffix: 'amazonaws.com',
    dualStackDnsSuffix: 'api.aws',
    implicitGlobalRegion: 'us-east-1',
  },
  {
    name: 'aws-cn',
    regions: /^cn-\w+-\d+$/,
    dnsSuffix: 'amazonaws.com.cn',
    dualStackDnsSuffix: 'api.amazonwebservices.com.cn',
    implicitGlobalRegion: 'cn-northwest-1',
  },
  {
    name: 'aws-us-gov',
    regions: /^us-gov-\w+-\d+$/,
    dnsSuffix: 'amazonaws.com',
    dualStackDnsSuffix: 'api.aws',
    implicitGlobalRegion: 'us-gov-west-1',
  },
  {
    name: 'aws-eusc',
    regions: /^eusc-de-\w+-\d+$/,
    dnsSuffix: 'amazonaws.eu',
    dualStackDnsSuffix: 'api.amazonwebservices.eu',
    implicitGlobalRegion: 'eusc-de-east-1',
  },
  {
    name: 'aws-iso',
    regions: /^us-iso-\w+-\d+$/,
    dnsSuffix: 'c2s.ic.gov',
    dualStackDnsSuffix: 'api.aws.ic.gov',
    implicitGlobalRegion: 'us-iso-east-1',
  },
  {
    name: 'aws-iso-b',
    regions: /^us-isob-\w+-\d+$/,
    dnsSuffix: 'sc2s.sgov.gov',
    dualStackDnsSuffix: 'api.aws.scloud',
    implicitGlobalRegion: 'us-isob-east-1',
  },
  {
    name: 'aws-iso-e',
    regions: /^eu-isoe-\w+-\d+$/,
    dnsSuffix: 'cloud.adc-e.uk',
    dualStackDnsSuffix: 'api.cloud-aws.adc-e.uk',
    implicitGlobalRegion: 'eu-isoe-west-1',
  },
  {
    name: 'aws-iso-f',
    regions: /^us-isof-\w+-\d+$/,
    dnsSuffix: 'csp.hci.ic.gov',
    dualStackDnsSuffix: 'api.aws.hci.ic.gov',
    implicitGlobalRegion: 'us-isof-south-1',
  },
]

/** The region's partition; that of the commercial regions for one that none of them knows, as the SDKs do. */
export function partitionOf(region: string): Node & { readonly dnsSuffix: string } {
  const found = partitions.find(({ regions }) => regions.test(region)) ?? partitions[0]
  if (found === undefined) throw new RangeError('there is always a first partition')
  const { regions: _regions, ...facts } = found
  return { ...facts, supportsDualStack: true, supportsFIPS: true }
}
