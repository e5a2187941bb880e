import { describe } from 'vitest'
import { blobTests } from './blobs.ts'
import { commitTests } from './commits.ts'
import { durabilityTests } from './durability.ts'
import type { StoreUnderTest } from './fixtures.ts'
import { idTests } from './ids.ts'
import { listingTests } from './listing.ts'
import { readTests } from './reads.ts'
import { trimTests } from './trims.ts'
import { wakeTests } from './wake.ts'
import { withStore } from './with-store.ts'

export * from './fixtures.ts'

/** Registers the tests that every Store must pass (vitest). */
export function storeSuite(name: string, subject: StoreUnderTest): void {
  describe(`store suite: ${name}`, () => {
    const use = withStore(subject)
    commitTests(use)
    readTests(use)
    trimTests(use)
    idTests(use)
    listingTests(use)
    blobTests(use)
    wakeTests(use)
    durabilityTests(use)
  })
}
