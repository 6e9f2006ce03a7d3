/* How many descriptors this process may have: where they are few, a client makes do with a share of them. */
#ifndef VEO_DESCRIPTORS_H
#define VEO_DESCRIPTORS_H

/* `most`, or fewer connections (and as many files) where that many would take all descriptors. At least 1. */
int veo_descriptors_share(int most);
/* Whether a TLS library that was about to read certificates may have lacked a descriptor just now. */
int veo_descriptors_short(void);

#endif
