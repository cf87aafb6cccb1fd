/* libvpx by three functions. Its structures differ from version to version; here the compiler knows them. */

#include <stdint.h>
#include <stdlib.h>

#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>

struct amphi_picture {
  const uint8_t *planes[3];
  uint32_t strides[3];
  uint32_t width;
  uint32_t height;
};

void amphi_vpx_close(vpx_codec_ctx_t *decoder) {
  if (decoder != NULL) {
    vpx_codec_destroy(decoder);
    free(decoder);
  }
}

/* NULL when there is no memory for it. */
vpx_codec_ctx_t *amphi_vpx_open(int is_vp9) {
  vpx_codec_ctx_t *decoder = calloc(1, sizeof *decoder);
  vpx_codec_dec_cfg_t config = {.threads = 1, .w = 0, .h = 0};
  if (decoder == NULL)
    return NULL;
  if (vpx_codec_dec_init(decoder, is_vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), &config, 0) != VPX_CODEC_OK) {
    free(decoder);
    return NULL;
  }
  return decoder;
}

/* 1: a picture, which lasts until the next call; 0: none came of it; -1: refused; -2: not 8 bits 4:2:0; -3: larger than pixels_max. */
int amphi_vpx_decode(vpx_codec_ctx_t *decoder, int is_vp9, const uint8_t *data, unsigned size, uint32_t pixels_max,
                     struct amphi_picture *picture) {
  vpx_codec_iter_t next = NULL;
  vpx_image_t *image, *newest = NULL;
  vpx_codec_stream_info_t info = {.sz = sizeof info};
  int plane;
  /* Asked before the decoder takes memory for it. Frames that are no key frames tell no size. */
  if (vpx_codec_peek_stream_info(is_vp9 ? vpx_codec_vp9_dx() : vpx_codec_vp8_dx(), data, size, &info) == VPX_CODEC_OK &&
      info.is_kf && (uint64_t)info.w * info.h > pixels_max)
    return -3;
  if (vpx_codec_decode(decoder, data, size, NULL, 0) != VPX_CODEC_OK)
    return -1;
  while ((image = vpx_codec_get_frame(decoder, &next)) != NULL)
    newest = image;
  if (newest == NULL)
    return 0;
  if (newest->fmt != VPX_IMG_FMT_I420)
    return -2;
  for (plane = 0; plane < 3; plane++) {
    if (newest->planes[plane] == NULL || newest->stride[plane] <= 0)
      return -2;
    picture->planes[plane] = newest->planes[plane];
    picture->strides[plane] = (uint32_t)newest->stride[plane];
  }
  picture->width = newest->d_w;
  picture->height = newest->d_h;
  return 1;
}
