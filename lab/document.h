/* SPDX-License-Identifier: MIT */
/* document.h - what was seen as one JSON object; the report is drawn from it, and programs read it. */
#ifndef LAB_DOCUMENT_H
#define LAB_DOCUMENT_H

#include "lab/claims.h"
#include "lab/run.h"
#include <jansson.h>

/* claims: LAB_CLAIMS of them; those that were not judged are left out. The caller's to json_decref; NULL: no memory. */
json_t *lab_document(const struct lab *lab, const struct lab_claim *claims);

#endif
